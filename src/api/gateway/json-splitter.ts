import { EMPTY } from '../../wire/reader.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPENING = new Set([0x5b, 0x7b]);
const CLOSING = new Set([0x5d, 0x7d]);
const SPACES = new Set([0x20, 0x09, 0x0a, 0x0d]);

const LEAST_ROOM_BYTES = 256;

/** A value is longer than the server accepts. */
export class JsonTooLongError extends Error {
  override readonly name = 'JsonTooLongError';
}

/**
 * Splits a stream of JSON values into single values as chunks arrive. It only finds where a value ends. The content
 * of a value is checked by its reader.
 */
export class JsonSplitter {
  readonly #maxBytes: number;
  /** The arrived part of the current value, at the start of a buffer that grows. */
  #pending: Buffer = EMPTY;
  #bytes = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;
  /** Whether the current value has more than white space. */
  #begun = false;

  /** @param maxBytes the longest value, in bytes */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes held of the incomplete value. */
  get pendingBytes(): number {
    return this.#bytes;
  }

  /** Returns the values that end in the chunk. @throws JsonTooLongError */
  push(chunk: Buffer): Buffer[] {
    const values: Buffer[] = [];
    let from = 0;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at] ?? 0;
      if (this.#inString) {
        if (this.#endsString(byte) && this.#depth === 0) from = this.#cut(values, chunk, from, at + 1);
      } else if (byte === QUOTE) {
        this.#inString = true;
        this.#begun = true;
      } else if (OPENING.has(byte)) {
        if (this.#depth === 0 && this.#begun) from = this.#cut(values, chunk, from, at);
        this.#depth++;
        this.#begun = true;
      } else if (CLOSING.has(byte)) {
        this.#begun = true;
        this.#depth = Math.max(0, this.#depth - 1);
        if (this.#depth === 0) from = this.#cut(values, chunk, from, at + 1);
      } else if (!SPACES.has(byte)) this.#begun = true;
      else if (this.#begun && this.#depth === 0) from = this.#cut(values, chunk, from, at);
    }
    this.#keep(chunk.subarray(from));
    return values;
  }

  /** The rest at the end of the stream; undefined if it is only white space. */
  rest(): Buffer | undefined {
    return this.#begun ? this.#pending.subarray(0, this.#bytes) : undefined;
  }

  #endsString(byte: number): boolean {
    if (this.#escaped) this.#escaped = false;
    else if (byte === BACKSLASH) this.#escaped = true;
    else if (byte === QUOTE) this.#inString = false;
    return !this.#inString;
  }

  #cut(values: Buffer[], chunk: Buffer, from: number, to: number): number {
    if (this.#bytes === 0) {
      this.#check(to - from);
      values.push(chunk.subarray(from, to));
    } else {
      this.#keep(chunk.subarray(from, to));
      values.push(this.#pending.subarray(0, this.#bytes));
    }
    this.#pending = EMPTY;
    this.#bytes = 0;
    this.#begun = false;
    return to;
  }

  /** Copies the bytes, so that a value that arrives byte by byte takes at most twice its size. */
  #keep(bytes: Buffer): void {
    if (bytes.length === 0) return;
    const length = this.#bytes + bytes.length;
    this.#check(length);
    if (length > this.#pending.length) {
      const grown = Buffer.allocUnsafeSlow(Math.min(this.#maxBytes, Math.max(LEAST_ROOM_BYTES, 2 * length)));
      this.#pending.copy(grown, 0, 0, this.#bytes);
      this.#pending = grown;
    }
    bytes.copy(this.#pending, this.#bytes);
    this.#bytes = length;
  }

  #check(bytes: number): void {
    if (bytes > this.#maxBytes) throw new JsonTooLongError('the message is too long');
  }
}
