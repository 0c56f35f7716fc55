import type { AuthInfo } from '../auth/auth-store.ts';
import { EMPTY } from '../wire/reader.ts';
import { VarintHalves } from '../wire/varint.ts';

/** Tag (field number * 8 + wire type) of the header in InternalRaftRequest, and of the fields of RequestHeader. */
const REQUEST_HEADER = (100 << 3) | 2;
const HEADER_ID = 1 << 3;
const HEADER_USERNAME = (2 << 3) | 2;
const HEADER_AUTH_REVISION = 3 << 3;
/** Tags of PutRequest. */
const PUT_KEY = (1 << 3) | 2;
const PUT_VALUE = (2 << 3) | 2;
const PUT_LEASE = 3 << 3;
const PUT_PREV_KV = 4 << 3;
const PUT_IGNORE_VALUE = 5 << 3;
const PUT_IGNORE_LEASE = 6 << 3;

const NO_LEASE = 0n;

/**
 * Reads an entry of the raft log that writes one key, in one pass and without an object for each message in it. Objects
 * are reused.
 */
export abstract class EntryReader {
  /** The request's 64-bit ID. Its upper 16 bits identify the proposing member; `idSequence` has the lower 48 bits. */
  idPrefix = 0;
  idSequence = 0;
  username = '';
  authRevision = 0;
  /** `key` and `value` share the entry's memory. */
  key: Buffer = EMPTY;
  /** The key as a string; set by the applier. */
  name: string | undefined;
  value: Buffer = EMPTY;
  lease = NO_LEASE;
  prevKv = false;
  ignoreValue = false;
  ignoreLease = false;

  protected data: Buffer = EMPTY;
  protected at = 0;
  /** The last varint, as two unsigned 32-bit halves. */
  readonly #halves = new VarintHalves();

  get caller(): AuthInfo {
    return { username: this.username, revision: this.authRevision };
  }

  /**
   * Reads an InternalRaftRequest that has one header and one request of the given tag.
   *
   * @returns false for all others; they need the full decoder
   */
  protected readRequest(data: Buffer, requestTag: number): boolean {
    this.data = data;
    this.at = 0;
    let requests = 0;
    let headers = 0;
    while (this.at < data.length) {
      const tag = this.varint();
      if (tag !== requestTag && tag !== REQUEST_HEADER) return false;
      const end = this.messageEnd(data.length);
      if (end < 0) return false;
      if (tag === requestTag ? !this.readBody(end) : !this.#readHeader(end)) return false;
      if (tag === requestTag) requests++;
      else headers++;
    }
    return requests === 1 && headers === 1;
  }

  /** Releases the entry's memory. Key and value are views of it. */
  release(): void {
    this.key = EMPTY;
    this.name = undefined;
    this.value = EMPTY;
    this.data = EMPTY;
  }

  /** Reads the request, which ends at `end`. @returns false if it needs the full decoder */
  protected abstract readBody(end: number): boolean;

  #readHeader(end: number): boolean {
    this.idPrefix = 0;
    this.idSequence = 0;
    this.username = '';
    this.authRevision = 0;
    while (this.at < end) {
      const tag = this.varint();
      if (tag === HEADER_ID) {
        if (this.varint() < 0) return false;
        this.idPrefix = this.#halves.high >>> 16;
        this.idSequence = (this.#halves.high & 0xffff) * 0x1_0000_0000 + this.#halves.low;
      } else if (tag === HEADER_USERNAME) {
        const bytes = this.#bytes(end);
        if (bytes === undefined) return false;
        this.username = bytes.toString();
      } else if (tag === HEADER_AUTH_REVISION) {
        if (this.varint() < 0) return false;
        this.authRevision = this.#halves.number;
      } else {
        return false;
      }
    }
    return this.at === end;
  }

  protected resetPut(): void {
    this.key = EMPTY;
    this.value = EMPTY;
    this.lease = NO_LEASE;
    this.prevKv = false;
    this.ignoreValue = false;
    this.ignoreLease = false;
  }

  /** Reads a PutRequest into the fields that `resetPut` has cleared. @returns false if it needs the full decoder */
  protected readPut(end: number): boolean {
    while (this.at < end) {
      if (!this.#readPutField(this.varint(), end)) return false;
    }
    return this.at === end;
  }

  #readPutField(tag: number, end: number): boolean {
    if (tag === PUT_KEY || tag === PUT_VALUE) {
      const bytes = this.#bytes(end);
      if (bytes === undefined) return false;
      if (tag === PUT_KEY) this.key = bytes;
      else this.value = bytes;
      return true;
    }
    if (this.varint() < 0) return false;
    const isSet = this.#halves.low !== 0 || this.#halves.high !== 0;
    switch (tag) {
      case PUT_LEASE:
        this.lease = this.#bigValue;
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

  /** Reads the length of a message. @returns where it ends; -1 if that is behind `most` */
  protected messageEnd(most: number): number {
    const length = this.varint();
    return length < 0 || this.at + length > most ? -1 : this.at + length;
  }

  /** The last varint as a signed 64-bit number. */
  get #bigValue(): bigint {
    const { high, low } = this.#halves;
    return high === 0 && low === 0 ? 0n : BigInt.asIntN(64, (BigInt(high) << 32n) | BigInt(low));
  }

  /** A field of bytes. @returns undefined if it is longer than its message */
  #bytes(end: number): Buffer | undefined {
    const to = this.messageEnd(end);
    if (to < 0) return undefined;
    const start = this.at;
    this.at = to;
    return to === start ? EMPTY : this.data.subarray(start, to);
  }

  /** @returns the varint as a number if it is exact, -1 if it is malformed; its halves are kept */
  protected varint(): number {
    const used = this.#halves.read(this.data, this.at);
    if (used <= 0) return -1;
    this.at += used;
    return this.#halves.number;
  }
}
