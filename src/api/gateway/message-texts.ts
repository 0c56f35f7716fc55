import type { ByteSource } from '../../http2/stream.ts';
import { JsonTranscoder } from '../../wire/json.ts';
import { OUTLET_HIGH_WATER_BYTES, type Outlet } from './outlet.ts';

/** Bytes of a message turned to text at a time: about half a millisecond's work. */
const SLICE_BYTES = 64 * 1024;
/** After so many the event loop goes round. */
const SLICES_PER_TURN = 4;

/** What surrounds the text of each message. */
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
 * Turns response messages to text as the client takes it. A message is never text as a whole, and one from a source
 * is not in memory as a whole either.
 */
export class MessageTexts {
  readonly #type: string;
  readonly #outlet: Outlet;
  readonly #framing: Framing;
  readonly #onProgress: () => void;
  readonly #queue: Message[] = [];
  /** Parts of the message under way that were read and are not text yet. */
  readonly #parts: Buffer[] = [];
  #queuedBytes = 0;
  #isScheduled = false;
  #onEmpty: (() => void) | undefined;

  /** @param onProgress called when the client has taken some of what was queued */
  constructor(type: string, outlet: Outlet, framing: Framing, onProgress: () => void) {
    this.#type = type;
    this.#outlet = outlet;
    this.#framing = framing;
    this.#onProgress = onProgress;
  }

  /** Bytes of messages that wait, with the text that the client has not taken. */
  get queuedBytes(): number {
    return this.#queuedBytes + this.#outlet.queuedBytes;
  }

  add(parts: readonly Buffer[], totalBytes: number): void {
    this.#queuedBytes += totalBytes;
    this.#enqueue(new PartsSource(parts), totalBytes);
  }

  addSource(source: ByteSource, totalBytes: number): void {
    this.#enqueue(source, totalBytes);
  }

  /** Calls back, at once or later, when all of it is text. */
  whenEmpty(callback: () => void): void {
    if (this.#queue.length === 0) callback();
    else this.#onEmpty = callback;
  }

  /** There is room again, or a source has bytes again. */
  goOn(): void {
    if (this.#isScheduled) return;
    let slices = 0;
    for (let message = this.#queue[0]; message !== undefined; message = this.#queue[0]) {
      if (this.#outlet.queuedBytes >= OUTLET_HIGH_WATER_BYTES) return;
      if (slices === SLICES_PER_TURN) {
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

  /** Forgets what waits. */
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

  /** Makes text of the next bytes; false where there are none at the moment. */
  #slice(message: Message): boolean {
    let text = message.begun ? '' : this.#framing.before;
    message.begun = true;
    let bytes = 0;
    if (message.left === 0) text += message.transcoder.push(NOTHING);
    while (message.left > 0 && bytes < SLICE_BYTES) {
      const part = this.#next(message, SLICE_BYTES - bytes);
      if (part === undefined) break;
      bytes += part.length;
      message.left -= part.length;
      text += message.transcoder.push(part);
    }
    const isLast = message.left === 0;
    if (!isLast && bytes === 0) {
      if (text !== '') this.#outlet.write(text, false);
      return false;
    }
    if (message.source instanceof PartsSource) this.#queuedBytes -= bytes;
    if (isLast) this.#queue.shift();
    this.#outlet.write(isLast ? text + this.#framing.after : text, isLast);
    return true;
  }

  #next(message: Message, maxBytes: number): Buffer | undefined {
    if (this.#parts.length === 0) {
      let read: Buffer[] | undefined;
      try {
        read = message.source.read(maxBytes);
      } catch {
        // What was begun cannot be completed: only the end of the connection says so.
        this.#outlet.destroy();
      }
      if (read === undefined) return undefined;
      this.#parts.push(...read.reverse());
    }
    const part = this.#parts.pop() ?? NOTHING;
    if (part.length <= maxBytes) return part;
    this.#parts.push(part.subarray(maxBytes));
    return part.subarray(0, maxBytes);
  }
}

const NOTHING = Buffer.alloc(0);

/** Parts that are there, a few at a time. */
class PartsSource implements ByteSource {
  readonly #parts: readonly Buffer[];
  #next = 0;

  constructor(parts: readonly Buffer[]) {
    this.#parts = parts;
  }

  read(maxBytes: number): Buffer[] {
    const found: Buffer[] = [];
    for (let bytes = 0; bytes < maxBytes && this.#next < this.#parts.length; this.#next++) {
      const part = this.#parts[this.#next] ?? NOTHING;
      bytes += part.length;
      found.push(part);
    }
    return found;
  }
}
