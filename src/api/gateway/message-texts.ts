import type { ByteSource } from '../../http2/stream.ts';
import { JsonTranscoder } from '../../wire/json.ts';
import { EMPTY } from '../../wire/reader.ts';
import { HIGH_WATER_BYTES, type ResponseWriter } from './response-writer.ts';

/** How many bytes of a message are converted at a time: about half a millisecond of work. */
const SLICE_BYTES = 64 * 1024;
/** After this many bytes or fields the event loop gets a turn. */
const SLICES_PER_TURN = 4;
const FIELDS_PER_TURN = 8192;
/** How many bytes are converted before fields are counted. A field has at least two bytes. */
const CHUNK_BYTES = 8 * 1024;

/** The text around each message. */
export interface Framing {
  readonly before: string;
  readonly after: string;
}

interface Message {
  readonly source: ByteSource;
  readonly transcoder: JsonTranscoder;
  left: number;
  begun: boolean;
}

/**
 * Converts response messages to text as fast as the client reads. The text of a message is never in memory as a
 * whole. A message that comes from a source is not in memory as a whole either.
 */
export class MessageTexts {
  readonly #type: string;
  readonly #writer: ResponseWriter;
  readonly #framing: Framing;
  readonly #onProgress: () => void;
  readonly #queue: Message[] = [];
  /** Parts of the current message that were read but not converted yet. */
  readonly #parts: Buffer[] = [];
  #queuedBytes = 0;
  #isScheduled = false;
  /** Fields that this turn may still convert. */
  #fieldsLeft = 0;
  #onEmpty: (() => void) | undefined;

  /** @param onProgress called when the client has read some of the queued bytes */
  constructor(type: string, writer: ResponseWriter, framing: Framing, onProgress: () => void) {
    this.#type = type;
    this.#writer = writer;
    this.#framing = framing;
    this.#onProgress = onProgress;
  }

  /** The bytes of waiting messages, plus the text that the client has not read. */
  get queuedBytes(): number {
    return this.#queuedBytes + this.#writer.queuedBytes;
  }

  add(parts: readonly Buffer[], totalBytes: number): void {
    this.#queuedBytes += totalBytes;
    this.#enqueue(new PartsSource(parts), totalBytes);
  }

  addSource(source: ByteSource, totalBytes: number): void {
    this.#enqueue(source, totalBytes);
  }

  /** Calls back, at once or later, when everything is converted. */
  whenEmpty(callback: () => void): void {
    if (this.#queue.length === 0) callback();
    else this.#onEmpty = callback;
  }

  /** Called when there is room again, or when a source has more bytes. */
  goOn(): void {
    if (this.#isScheduled) return;
    let slices = 0;
    this.#fieldsLeft = FIELDS_PER_TURN;
    for (let message = this.#queue[0]; message !== undefined; message = this.#queue[0]) {
      if (this.#writer.queuedBytes >= HIGH_WATER_BYTES) return;
      if (slices === SLICES_PER_TURN || this.#fieldsLeft <= 0) {
        this.#isScheduled = true;
        setImmediate(() => {
          this.#isScheduled = false;
          this.goOn();
        });
        return;
      }
      if (!this.#slice(message)) return;
      slices++;
    }
    if (slices > 0) this.#onProgress();
    this.#onEmpty?.();
    this.#onEmpty = undefined;
  }

  /** Drops what waits. */
  drop(): void {
    for (const { source } of this.#queue) source.dropped?.();
    this.#queue.length = 0;
    this.#parts.length = 0;
    this.#queuedBytes = 0;
    this.#onEmpty = undefined;
  }

  #enqueue(source: ByteSource, totalBytes: number): void {
    const transcoder = new JsonTranscoder(this.#type, totalBytes);
    this.#queue.push({ source, transcoder, left: totalBytes, begun: false });
    this.goOn();
  }

  /** Converts the next bytes. Returns false if there are none at the moment. */
  #slice(message: Message): boolean {
    let text = message.begun ? '' : this.#framing.before;
    message.begun = true;
    let bytes = 0;
    if (message.left === 0) text += message.transcoder.push(EMPTY);
    while (message.left > 0 && bytes < SLICE_BYTES && this.#fieldsLeft > 0) {
      const part = this.#next(message, Math.min(CHUNK_BYTES, SLICE_BYTES - bytes));
      if (part === undefined) break;
      bytes += part.length;
      message.left -= part.length;
      const { fields } = message.transcoder;
      text += message.transcoder.push(part);
      // A part counts too, as it may be smaller than a field.
      this.#fieldsLeft -= message.transcoder.fields - fields + (part.length > 0 ? 1 : 0);
    }
    const isLast = message.left === 0;
    if (!isLast && bytes === 0) {
      if (text !== '') this.#writer.write(text, false);
      return false;
    }
    if (message.source instanceof PartsSource) this.#queuedBytes -= bytes;
    if (isLast) this.#queue.shift();
    this.#writer.write(isLast ? text + this.#framing.after : text, isLast);
    return true;
  }

  #next(message: Message, maxBytes: number): Buffer | undefined {
    if (this.#parts.length === 0) {
      let read: Buffer[] | undefined;
      try {
        read = message.source.read(maxBytes);
      } catch {
        // The message cannot be completed. Only the end of the connection can tell the client.
        this.#writer.destroy();
      }
      if (read === undefined) return undefined;
      this.#parts.push(...read.reverse());
    }
    const part = this.#parts.pop() ?? EMPTY;
    if (part.length <= maxBytes) return part;
    this.#parts.push(part.subarray(maxBytes));
    return part.subarray(0, maxBytes);
  }
}

/** Reads parts that are already in memory, a few at a time. */
class PartsSource implements ByteSource {
  readonly #parts: readonly Buffer[];
  #next = 0;

  constructor(parts: readonly Buffer[]) {
    this.#parts = parts;
  }

  read(maxBytes: number): Buffer[] {
    const found: Buffer[] = [];
    for (let bytes = 0; bytes < maxBytes && this.#next < this.#parts.length; this.#next++) {
      const part = this.#parts[this.#next] ?? EMPTY;
      bytes += part.length;
      found.push(part);
    }
    return found;
  }
}
