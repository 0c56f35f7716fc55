import type { AuthInfo } from '../auth/auth-store.ts';
import { EMPTY } from '../wire/reader.ts';
import { VarintHalves } from '../wire/varint.ts';

const NO_LEASE = 0n;

/** Tags (field number * 8 + wire type) of InternalRaftRequest, RequestHeader and PutRequest. */
const REQUEST_PUT = (4 << 3) | 2;
const REQUEST_HEADER = (100 << 3) | 2;
const HEADER_ID = 1 << 3;
const HEADER_USERNAME = (2 << 3) | 2;
const HEADER_AUTH_REVISION = 3 << 3;
const PUT_KEY = (1 << 3) | 2;
const PUT_VALUE = (2 << 3) | 2;
const PUT_LEASE = 3 << 3;
const PUT_PREV_KV = 4 << 3;
const PUT_IGNORE_VALUE = 5 << 3;
const PUT_IGNORE_LEASE = 6 << 3;

/**
 * A put in a raft log entry, decoded in one pass. Most entries are puts, and an InternalRaftRequest with its thirty
 * fields would cost more than applying the put. Objects are reused.
 */
export class PutEntry {
  /** The request's 64-bit ID. Its upper 16 bits identify the proposing member; `idSequence` has the lower 48 bits. */
  idPrefix = 0;
  idSequence = 0;
  username = '';
  authRevision = 0;
  /** `key` and `value` share the entry's memory. */
  key: Buffer = EMPTY;
  value: Buffer = EMPTY;
  lease = NO_LEASE;
  prevKv = false;
  ignoreValue = false;
  ignoreLease = false;

  #data: Buffer = EMPTY;
  #at = 0;
  /** The last varint, as two unsigned 32-bit halves. */
  readonly #halves = new VarintHalves();

  get caller(): AuthInfo {
    return { username: this.username, revision: this.authRevision };
  }

  /** @returns false unless the entry is one put with its header; other entries need the full decoder */
  read(data: Buffer): boolean {
    this.#data = data;
    this.#at = 0;
    let puts = 0;
    let headers = 0;
    while (this.#at < data.length) {
      const tag = this.#varint();
      if (tag !== REQUEST_PUT && tag !== REQUEST_HEADER) return false;
      const length = this.#varint();
      if (length < 0 || this.#at + length > data.length) return false;
      const end = this.#at + length;
      if (tag === REQUEST_PUT ? !this.#readPut(end) : !this.#readHeader(end)) return false;
      if (tag === REQUEST_PUT) puts++;
      else headers++;
    }
    return puts === 1 && headers === 1;
  }

  /** Releases the entry's memory. Key and value are views of it. */
  release(): void {
    this.key = EMPTY;
    this.value = EMPTY;
    this.#data = EMPTY;
  }

  #readHeader(end: number): boolean {
    this.idPrefix = 0;
    this.idSequence = 0;
    this.username = '';
    this.authRevision = 0;
    while (this.#at < end) {
      const tag = this.#varint();
      if (tag === HEADER_ID) {
        if (this.#varint() < 0) return false;
        this.idPrefix = this.#halves.high >>> 16;
        this.idSequence = (this.#halves.high & 0xffff) * 0x1_0000_0000 + this.#halves.low;
      } else if (tag === HEADER_USERNAME) {
        const bytes = this.#bytes(end);
        if (bytes === undefined) return false;
        this.username = bytes.toString();
      } else if (tag === HEADER_AUTH_REVISION) {
        if (this.#varint() < 0) return false;
        this.authRevision = this.#halves.number;
      } else {
        return false;
      }
    }
    return this.#at === end;
  }

  #readPut(end: number): boolean {
    this.key = EMPTY;
    this.value = EMPTY;
    this.lease = NO_LEASE;
    this.prevKv = false;
    this.ignoreValue = false;
    this.ignoreLease = false;
    while (this.#at < end) {
      if (!this.#readPutField(this.#varint(), end)) return false;
    }
    return this.#at === end;
  }

  #readPutField(tag: number, end: number): boolean {
    if (tag === PUT_KEY || tag === PUT_VALUE) {
      const bytes = this.#bytes(end);
      if (bytes === undefined) return false;
      if (tag === PUT_KEY) this.key = bytes;
      else this.value = bytes;
      return true;
    }
    if (this.#varint() < 0) return false;
    const isSet = this.#halves.low !== 0 || this.#halves.high !== 0;
    switch (tag) {
      case PUT_LEASE:
        this.lease = isSet
          ? BigInt.asIntN(64, (BigInt(this.#halves.high) << 32n) | BigInt(this.#halves.low))
          : NO_LEASE;
        return true;
      case PUT_PREV_KV:
        this.prevKv = isSet;
        return true;
      case PUT_IGNORE_VALUE:
        this.ignoreValue = isSet;
        return true;
      case PUT_IGNORE_LEASE:
        this.ignoreLease = isSet;
        return true;
      default:
        return false;
    }
  }

  #bytes(end: number): Buffer | undefined {
    const length = this.#varint();
    const start = this.#at;
    if (length < 0 || start + length > end) return undefined;
    this.#at = start + length;
    return length === 0 ? EMPTY : this.#data.subarray(start, start + length);
  }

  /** @returns the varint as a number if it is exact, -1 if it is malformed; its halves are kept */
  #varint(): number {
    const used = this.#halves.read(this.#data, this.#at);
    if (used <= 0) return -1;
    this.#at += used;
    return this.#halves.number;
  }
}
