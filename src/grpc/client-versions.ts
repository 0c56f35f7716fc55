import { isUtf8 } from 'node:buffer';

/** Versions counted apart; a client can name any, and each takes memory for good. */
const MAX_VERSIONS = 64;
/** What clients beyond that, and those that name none, count as. */
const UNKNOWN = 'unknown';

const NOT_ASCII = /[^\0-\x7f]/;

/** Calls by the version that clients name in `client-api-version`, unary ones and streams apart. */
export class ClientVersions {
  readonly #unary = new Map<string, number>();
  readonly #streams = new Map<string, number>();

  /**
   * Counts a call.
   *
   * @param version bytes as latin1; empty when the client names none
   * @returns false when it is no text, and the call is to be refused
   */
  count(isUnary: boolean, version: string): boolean {
    if (NOT_ASCII.test(version) && !isUtf8(Buffer.from(version, 'latin1'))) return false;
    const counts = isUnary ? this.#unary : this.#streams;
    const known = counts.get(version);
    if (known !== undefined || counts.size < MAX_VERSIONS) counts.set(version, (known ?? 0) + 1);
    else counts.set('', (counts.get('') ?? 0) + 1);
    return true;
  }

  *entries(): IterableIterator<{ type: 'unary' | 'stream'; version: string; count: number }> {
    for (const [type, counts] of [
      ['unary', this.#unary],
      ['stream', this.#streams],
    ] as const)
      for (const [version, count] of counts)
        yield { type, version: version === '' ? UNKNOWN : Buffer.from(version, 'latin1').toString(), count };
  }
}
