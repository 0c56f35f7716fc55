import { defined } from '../lib/assert.ts';
import { isDialable } from './request-place.ts';

/**
 * Chooses the URL of a member: the first one that works, until it fails.
 *
 * URLs come from the log, and any member may have written any text there. Unusable URLs are skipped. A member without
 * usable URLs is unreachable.
 */
export class UrlPicker {
  #given: readonly string[];
  #urls: readonly string[];
  #picked = 0;

  constructor(urls: readonly string[]) {
    this.#given = urls;
    this.#urls = usable(urls);
  }

  update(urls: readonly string[]): void {
    if (urls.length === this.#given.length && urls.every((url, i) => url === this.#given[i])) return;
    this.#given = urls;
    this.#urls = usable(urls);
    this.#picked = 0;
  }

  pick(): string {
    return defined(this.#urls[this.#picked], 'a member has a URL');
  }

  /** Switches to the next URL, unless that was done already. */
  unreachable(url: string): void {
    if (this.#urls[this.#picked] === url) this.#picked = (this.#picked + 1) % this.#urls.length;
  }
}

/** A host name that DNS never resolves (RFC 2606). */
const UNREACHABLE = 'http://no-usable-url.invalid:1';

function usable(urls: readonly string[]): readonly string[] {
  const found = urls.map(withHost).filter(isDialable);
  return found.length === 0 ? [UNREACHABLE] : found;
}

/** As in etcd, an empty host is the local host. */
function withHost(url: string): string {
  return url.replace(/^(https?:\/\/):/, '$1localhost:');
}
