import { CompareCompareTarget } from '../wire/gen/etcdserverpb.ts';
import { EntryReader } from './entry-reader.ts';

/** Tags (field number * 8 + wire type) of InternalRaftRequest, TxnRequest and the messages in it. */
const REQUEST_TXN = (6 << 3) | 2;
const TXN_COMPARE = (1 << 3) | 2;
const TXN_SUCCESS = (2 << 3) | 2;
const TXN_FAILURE = (3 << 3) | 2;
const COMPARE_RESULT = 1 << 3;
const COMPARE_TARGET = 2 << 3;
const COMPARE_KEY = (3 << 3) | 2;
/** By the target that belongs to it: version 0, create revision 1, mod revision 2. */
const COMPARE_NUMBER = [4 << 3, 5 << 3, 6 << 3];
const OP_RANGE = (1 << 3) | 2;
const OP_PUT = (2 << 3) | 2;
const OP_DELETE = (3 << 3) | 2;
const KEY = (1 << 3) | 2;

/**
 * A transaction of the kind that Kubernetes sends for nearly every write: if a number of one key has the expected
 * value, put or delete that key, else read it or do nothing. It is decoded in one pass, without the twenty objects of
 * a TxnRequest. Objects are reused.
 */
export class GuardedEntry extends EntryReader {
  target: CompareCompareTarget = CompareCompareTarget.VERSION;
  expected = 0;
  isDelete = false;

  /** Where the key of the compare is in the entry. The keys of the operations are only compared with it. */
  #keyStart = 0;
  #keyEnd = 0;

  /** @returns false unless the entry is such a transaction with its header; other entries need the full decoder */
  read(data: Buffer): boolean {
    return this.readRequest(data, REQUEST_TXN);
  }

  /** One compare, one operation and perhaps another one, in the order of their fields. */
  protected override readBody(end: number): boolean {
    this.resetPut();
    this.isDelete = false;
    if (!this.#readPart(TXN_COMPARE, end) || !this.#readPart(TXN_SUCCESS, end)) return false;
    if (this.at < end && !this.#readPart(TXN_FAILURE, end)) return false;
    if (this.at !== end) return false;
    this.key = this.data.subarray(this.#keyStart, this.#keyEnd);
    return true;
  }

  #readPart(tag: number, most: number): boolean {
    if (this.at >= most || this.varint() !== tag) return false;
    const end = this.messageEnd(most);
    if (end < 0) return false;
    if (tag === TXN_COMPARE) return this.#readCompare(end) && this.at === end;
    const op = this.varint();
    const opEnd = this.messageEnd(end);
    // A second request in the operation would replace the first.
    if (opEnd !== end) return false;
    return (tag === TXN_SUCCESS ? this.#readWrite(op, end) : this.#readRange(op, end)) && this.at === end;
  }

  /** An equality of a number. A compare without a number expects 0. */
  #readCompare(end: number): boolean {
    let target = 0;
    let number = -1;
    this.expected = 0;
    this.#keyStart = this.#keyEnd = 0;
    while (this.at < end) {
      const tag = this.varint();
      if (tag === COMPARE_KEY) {
        const keyEnd = this.messageEnd(end);
        if (keyEnd < 0) return false;
        this.#keyStart = this.at;
        this.at = this.#keyEnd = keyEnd;
        continue;
      }
      const value = this.varint();
      if (value < 0) return false;
      if (tag === COMPARE_RESULT) {
        // Equality is 0.
        if (value !== 0) return false;
      } else if (tag === COMPARE_TARGET) target = value;
      else {
        number = COMPARE_NUMBER.indexOf(tag);
        if (number < 0 || value > Number.MAX_SAFE_INTEGER) return false;
        this.expected = value;
      }
    }
    this.target = target as CompareCompareTarget;
    // An empty key is refused, not applied.
    return (
      this.#keyEnd > this.#keyStart && target < COMPARE_NUMBER.length && (number < 0 || number === target)
    );
  }

  #readWrite(op: number, end: number): boolean {
    this.isDelete = op === OP_DELETE;
    if (op !== OP_PUT) return this.isDelete && this.#readKey(end);
    if (!this.readPut(end) || this.prevKv || this.ignoreValue || this.ignoreLease) return false;
    return this.data.compare(this.key, 0, this.key.length, this.#keyStart, this.#keyEnd) === 0;
  }

  #readRange(op: number, end: number): boolean {
    return op === OP_RANGE && this.#readKey(end);
  }

  /** A message of which only the key is set. */
  #readKey(end: number): boolean {
    return this.varint() === KEY && this.#isSameKey(end);
  }

  #isSameKey(end: number): boolean {
    const { data } = this;
    const keyEnd = this.messageEnd(end);
    const length = this.#keyEnd - this.#keyStart;
    if (keyEnd - this.at !== length) return false;
    for (let index = 0; index < length; index++)
      if (data[this.at + index] !== data[this.#keyStart + index]) return false;
    this.at = keyEnd;
    return true;
  }
}
