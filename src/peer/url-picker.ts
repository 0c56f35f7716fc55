import { defined } from '../lib/assert.ts';
import { isDialable } from './request-place.ts';

/**
 * Which of a member's URLs to use: the first that works, until it does not.
 *
 * URLs come from the log, where any member may have put any text. Those that nothing can be connected to are passed
 * over, and a member that has no others is one that cannot be reached.
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

  /** Goes on to the next URL, unless that was done already. */
  unreachable(url: string): void {
    if (this.#urls[this.#picked] === url) this.#picked = (this.#picked + 1) % this.#urls.length;
  }
}

/** A name that the domain name system promises never to resolve. */
const UNREACHABLE = 'http://no-usable-url.invalid:1';

function usable(urls: readonly string[]): readonly string[] {
  const found = urls.map(withHost).filter(isDialable);
  return found.length === 0 ? [UNREACHABLE] : found;
}

/** As etcd, which takes an empty host for its own. */
function withHost(url: string): string {
  return url.replace(/^(https?:\/\/):/, '$1localhost:');
}
