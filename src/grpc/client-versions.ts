import { isUtf8 } from 'node:buffer';

/** Maximum number of versions that are counted separately. A client can send any version, and each one uses memory. */
const MAX_VERSIONS = 64;
/** Further versions, and clients without a version, are counted as this. */
const UNKNOWN = 'unknown';

const NOT_ASCII = /[^\0-\x7f]/;

/** Counts calls by the version in `client-api-version`, separately for unary calls and streams. */
export class ClientVersions {
  readonly #unary = new Map<string, number>();
  readonly #streams = new Map<string, number>();

  /**
   * Counts a call.
   *
   * @param version bytes as latin1; empty if the client sends none
   * @returns false if it is not ASCII text, and the call must be refused
   */
  count(isUnary: boolean, version: string): boolean {
    const counts = isUnary ? this.#unary : this.#streams;
    const known = counts.get(version);
    if (known !== undefined) {
      counts.set(version, known + 1);
      return true;
    }
    if (NOT_ASCII.test(version) && !isUtf8(Buffer.from(version, 'latin1'))) return false;
    const counted = counts.size < MAX_VERSIONS ? version : '';
    counts.set(counted, (counts.get(counted) ?? 0) + 1);
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
