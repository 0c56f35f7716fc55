const TWO_32 = 2 ** 32;
const INITIAL_BYTES = 256;

/** Writes protobuf's wire format into one growing buffer. Lengths of nested messages are patched in at their end. */
export class Writer {
  #buffer: Buffer;
  #position = 0;

  constructor(capacity = INITIAL_BYTES) {
    this.#buffer = Buffer.allocUnsafe(capacity);
  }

  get length(): number {
    return this.#position;
  }

  #reserve(count: number): void {
    const needed = this.#position + count;
    if (needed <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2));
    this.#buffer.copy(grown, 0, 0, this.#position);
    this.#buffer = grown;
  }

  #halves(low: number, high: number): void {
    this.#reserve(10);
    let lowRest = low >>> 0;
    let highRest = high >>> 0;
    while (highRest !== 0 || lowRest >= 0x80) {
      this.#buffer[this.#position++] = (lowRest & 0x7f) | 0x80;
      lowRest = ((lowRest >>> 7) | (highRest << 25)) >>> 0;
      highRest >>>= 7;
    }
    this.#buffer[this.#position++] = lowRest;
  }

  tag(tag: number): void {
    this.#halves(tag, 0);
  }

  uint32(value: number): void {
    this.#halves(value, 0);
  }

  /** Negative values take ten bytes, as protobuf sign-extends them to 64 bits. */
  int32(value: number): void {
    this.#halves(value, value < 0 ? -1 : 0);
  }

  bool(value: boolean): void {
    this.#halves(value ? 1 : 0, 0);
  }

  uint64(value: number): void {
    this.#halves(value, Math.floor(value / TWO_32));
  }

  int64(value: number): void {
    this.#halves(value, Math.floor(value / TWO_32));
  }

  uint64Big(value: bigint): void {
    this.#halves(Number(value & 0xffff_ffffn), Number((value >> 32n) & 0xffff_ffffn));
  }

  int64Big(value: bigint): void {
    this.uint64Big(value);
  }

  bytes(value: Uint8Array): void {
    this.#halves(value.length, 0);
    this.raw(value);
  }

  /** Bytes as they are, without a length. */
  raw(value: Uint8Array): void {
    this.#reserve(value.length);
    this.#buffer.set(value, this.#position);
    this.#position += value.length;
  }

  string(value: string): void {
    const length = Buffer.byteLength(value, 'utf8');
    this.#halves(length, 0);
    this.#reserve(length);
    this.#buffer.write(value, this.#position, length, 'utf8');
    this.#position += length;
  }

  /** Begins a nested message, to be ended with the result. */
  begin(): number {
    this.#reserve(1);
    this.#position += 1;
    return this.#position;
  }

  end(start: number): void {
    const length = this.#position - start;
    if (length < 0x80) {
      this.#buffer[start - 1] = length;
      return;
    }
    let extra = 0;
    for (let rest = length; rest >= 0x80; rest = Math.floor(rest / 0x80)) extra += 1;
    this.#reserve(extra);
    this.#buffer.copyWithin(start + extra, start, this.#position);
    const end = this.#position + extra;
    this.#position = start - 1;
    this.#halves(length, 0);
    this.#position = end;
  }

  /** What was written so far; the writer must not be used afterwards. */
  finish(): Buffer {
    return this.#buffer.subarray(0, this.#position);
  }
}
