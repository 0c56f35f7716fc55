import { EMPTY } from './reader.ts';
import { varintSize, writeVarint } from './varint.ts';

const HEADER_TAG = 0x0a;
const REVISION_TAG = 0x18;
const TERM_TAG = 0x20;

function idField(tag: number, id: bigint): number[] {
  if (id === 0n) return [];
  const bytes = [tag];
  let rest = id;
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return bytes;
}

/**
 * Encodes `ResponseHeader` as field 1 of a response; it has this number in every response of etcd's services. The
 * cluster ID and the member ID never change, so only revision and term are written each time.
 */
export class ResponseHeaders {
  readonly #ids: Buffer;
  #lastRevision = -1;
  #lastTerm = -1;
  #last: Buffer = EMPTY;

  constructor(
    readonly clusterId: bigint,
    readonly memberId: bigint,
  ) {
    this.#ids = Buffer.from([...idField(0x08, clusterId), ...idField(0x10, memberId)]);
  }

  /** Tag, length and body. The result is shared by equal headers, so it must not be changed. */
  field(revision: number, term: number): Buffer {
    if (revision === this.#lastRevision && term === this.#lastTerm) return this.#last;
    const ids = this.#ids;
    let bytes = ids.length;
    if (revision > 0) bytes += 1 + varintSize(revision);
    if (term > 0) bytes += 1 + varintSize(term);
    const buffer = Buffer.allocUnsafe(2 + bytes);
    // Both ids, revision and term take at most 44 bytes: the length is a single byte.
    buffer[0] = HEADER_TAG;
    buffer[1] = bytes;
    let at = 2;
    for (const byte of ids) buffer[at++] = byte;
    if (revision > 0) {
      buffer[at++] = REVISION_TAG;
      at = writeVarint(buffer, at, revision);
    }
    if (term > 0) {
      buffer[at++] = TERM_TAG;
      writeVarint(buffer, at, term);
    }
    this.#lastRevision = revision;
    this.#lastTerm = term;
    this.#last = buffer;
    return buffer;
  }
}
