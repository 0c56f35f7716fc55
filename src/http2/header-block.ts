import { ConnectionError, ErrorCode } from './constants.ts';
import { MAX_CONTINUATIONS } from './limits.ts';

/** Assembles a header block that arrives in several frames. */
export class HeaderBlock {
  readonly #maxBytes: number;
  /** The stream whose block is incomplete; 0 for none. */
  streamId = 0;
  /** Flags of the HEADERS frame that started the block. */
  flags = 0;
  #bytes = 0;
  #parts: Buffer[] = [];

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  begin(streamId: number, flags: number, fragment: Buffer): void {
    this.streamId = streamId;
    this.flags = flags;
    this.#parts = [fragment];
    this.#bytes = fragment.length;
  }

  /** @throws ConnectionError ENHANCE_YOUR_CALM for more bytes or frames than a header list can need */
  add(fragment: Buffer): void {
    this.#parts.push(fragment);
    this.#bytes += fragment.length;
    if (this.#bytes > this.#maxBytes || this.#parts.length > MAX_CONTINUATIONS) {
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, 'header block too large');
    }
  }

  /** Returns the whole block, and resets. */
  finish(): Buffer {
    const block = Buffer.concat(this.#parts);
    this.streamId = 0;
    this.#parts = [];
    return block;
  }
}
