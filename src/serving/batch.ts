/**
 * Records in one block of bytes, which crosses to another thread in one message. The writer and the reader of a record
 * agree on its fields. Numbers are little-endian.
 */
const FIRST_BYTES = 64 * 1024;

export class BatchWriter {
  #buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  u8(value: number): void {
    this.#room(1);
    this.#buffer[this.#length++] = value;
  }

  u32(value: number): void {
    this.#room(4);
    this.#length = this.#buffer.writeUInt32LE(value, this.#length);
  }

  u64(value: bigint): void {
    this.#room(8);
    this.#length = this.#buffer.writeBigUInt64LE(value, this.#length);
  }

  f64(value: number): void {
    this.#room(8);
    this.#length = this.#buffer.writeDoubleLE(value, this.#length);
  }

  /** Bytes in one piece or in parts. */
  bytes(parts: Buffer | readonly Buffer[], totalBytes: number): void {
    this.#room(4 + totalBytes);
    this.#length = this.#buffer.writeUInt32LE(totalBytes, this.#length);
    if (Buffer.isBuffer(parts)) {
      this.#length += parts.copy(this.#buffer, this.#length);
      return;
    }
    for (const part of parts) this.#length += part.copy(this.#buffer, this.#length);
  }

  /** A message of gRPC with its prefix. */
  framed(message: Buffer): void {
    this.#room(4 + 5 + message.length);
    this.#length = this.#buffer.writeUInt32LE(5 + message.length, this.#length);
    this.#buffer[this.#length++] = 0;
    this.#length = this.#buffer.writeUInt32BE(message.length, this.#length);
    this.#length += message.copy(this.#buffer, this.#length);
  }

  text(value: string): void {
    const bytes = Buffer.from(value);
    this.bytes(bytes, bytes.length);
  }

  /** All records so far, in memory of their own. The writer is empty afterwards. */
  take(): ArrayBuffer {
    const taken = Buffer.allocUnsafeSlow(this.#length);
    this.#buffer.copy(taken, 0, 0, this.#length);
    this.#length = 0;
    // One large batch must not keep its memory.
    if (this.#buffer.length > 16 * FIRST_BYTES) this.#buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);
    return taken.buffer;
  }

  #room(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#buffer.length));
    this.#buffer.copy(grown, 0, 0, this.#length);
    this.#buffer = grown;
  }
}

export class BatchReader {
  readonly #buffer: Buffer;
  #position = 0;

  constructor(batch: ArrayBuffer) {
    this.#buffer = Buffer.from(batch);
  }

  get atEnd(): boolean {
    return this.#position >= this.#buffer.length;
  }

  u8(): number {
    return this.#buffer.readUInt8(this.#position++);
  }

  u32(): number {
    const value = this.#buffer.readUInt32LE(this.#position);
    this.#position += 4;
    return value;
  }

  u64(): bigint {
    const value = this.#buffer.readBigUInt64LE(this.#position);
    this.#position += 8;
    return value;
  }

  f64(): number {
    const value = this.#buffer.readDoubleLE(this.#position);
    this.#position += 8;
    return value;
  }

  /** A part of the batch's memory. */
  bytes(): Buffer {
    const length = this.u32();
    const from = this.#position;
    this.#position += length;
    return this.#buffer.subarray(from, this.#position);
  }

  text(): string {
    return this.bytes().toString();
  }
}
