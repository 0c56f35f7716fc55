import { defined } from '../lib/assert.ts';

/** Which of a member's URLs to use: the first that works, until it does not. */
export class UrlPicker {
  #urls: readonly string[];
  #picked = 0;

  /** @throws TypeError for URLs that are none */
  constructor(urls: readonly string[]) {
    this.#urls = checked(urls);
  }

  update(urls: readonly string[]): void {
    if (urls.length === this.#urls.length && urls.every((url, i) => url === this.#urls[i])) return;
    this.#urls = checked(urls);
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

function checked(urls: readonly string[]): readonly string[] {
  if (urls.length === 0) throw new TypeError('a member needs at least one peer URL');
  for (const url of urls) {
    const { protocol } = new URL(url);
    if (protocol !== 'http:' && protocol !== 'https:') throw new TypeError(`no http or https URL: ${url}`);
  }
  return urls;
}
