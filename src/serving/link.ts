import type { MessagePort } from 'node:worker_threads';
import type { HeldAccount } from '../http2/held-bytes.ts';
import { BatchReader, BatchWriter } from './batch.ts';
import { PROCESSED } from './records.ts';

/** The end of a channel between two threads. */
export type LinkPort = Pick<MessagePort, 'postMessage'> & {
  on(event: 'message', listener: (message: unknown) => void): unknown;
};

export interface LinkOptions {
  readonly port: LinkPort;
  /** Reads the fields of one record. */
  readonly onRecord: (kind: number, id: number, reader: BatchReader) => void;
  /** A message that is no batch. */
  readonly onControl: (message: unknown) => void;
}

/** The held bytes of a batch. The lists belong together; a record adds no object. */
interface Transit {
  readonly accounts: HeldAccount[];
  readonly bytes: number[];
}

/** A batch of this size is sent at once. After as many bytes the other end is told that they were read. */
const FULL_BATCH_BYTES = 256 * 1024;
const LATE_MS = 5;

/**
 * One end of the channel between a serving thread and the core. The records of a turn of the event loop leave in one
 * message. Bytes on their way count as held memory of the client that they belong to. So the limit for all clients also
 * bounds what waits between the threads, whichever thread is the slower one.
 */
export class Link {
  readonly #options: LinkOptions;
  readonly #out = new BatchWriter();
  /** The batches on their way, oldest first. */
  readonly #inTransit: Transit[] = [];
  #transit: Transit = { accounts: [], bytes: [] };
  /** Batches that were read and not confirmed yet, and their bytes. */
  #readBatches = 0;
  #readBytes = 0;
  #batches = 0;
  #immediate: NodeJS.Immediate | undefined;
  readonly #onImmediate = (): void => {
    this.#immediate = undefined;
    this.flush();
  };

  #late: NodeJS.Timeout | undefined;
  readonly #onLate = (): void => {
    this.#late = undefined;
    this.flush();
  };

  constructor(options: LinkOptions) {
    this.#options = options;
    options.port.on('message', (message) => {
      if (message instanceof ArrayBuffer) this.#read(message);
      else options.onControl(message);
    });
  }

  /** Begins a record. The caller writes its fields at once. */
  record(kind: number, id: number): BatchWriter {
    this.#immediate ??= setImmediate(this.#onImmediate);
    return this.#begin(kind, id);
  }

  #begin(kind: number, id: number): BatchWriter {
    if (this.#out.length >= FULL_BATCH_BYTES) this.flush();
    this.#out.u8(kind);
    this.#out.u32(id);
    return this.#out;
  }

  /** As `record`, for news that can wait some milliseconds for the next batch: a message costs more than its records. */
  lateRecord(kind: number, id: number): BatchWriter {
    this.#late ??= setTimeout(this.#onLate, LATE_MS);
    return this.#begin(kind, id);
  }

  /** Changes when the records so far leave. */
  get batches(): number {
    return this.#batches;
  }

  /** The record just written carries bytes of this client. */
  hold(account: HeldAccount, bytes: number): void {
    account.add(bytes);
    this.#transit.accounts.push(account);
    this.#transit.bytes.push(bytes);
  }

  /** Sends the records so far, and then a message that is no batch. */
  control(message: unknown): void {
    this.flush();
    this.#options.port.postMessage(message);
  }

  /** Sends the records so far. */
  flush(): void {
    if (this.#out.length === 0) return;
    if (this.#readBatches > 0) this.#confirm();
    this.#inTransit.push(this.#transit);
    this.#transit = { accounts: [], bytes: [] };
    this.#send();
  }

  #confirm(): void {
    this.#out.u8(PROCESSED);
    this.#out.u32(0);
    this.#out.u32(this.#readBatches);
    this.#readBatches = 0;
    this.#readBytes = 0;
  }

  #send(): void {
    this.#batches++;
    const batch = this.#out.take();
    this.#options.port.postMessage(batch, [batch]);
  }

  #read(batch: ArrayBuffer): void {
    const reader = new BatchReader(batch);
    const { onRecord } = this.#options;
    let records = 0;
    let confirmed = 0;
    while (!reader.atEnd) {
      const kind = reader.u8();
      const id = reader.u32();
      if (kind === PROCESSED) {
        confirmed += reader.u32();
        continue;
      }
      records++;
      onRecord(kind, id, reader);
    }
    this.#release(confirmed);
    // A batch that only confirms is not confirmed itself.
    if (records === 0) return;
    this.#readBatches++;
    this.#readBytes += batch.byteLength;
    if (this.#readBytes < FULL_BATCH_BYTES || this.#out.length > 0) return;
    this.#confirm();
    this.#send();
  }

  /** The other end has read the oldest `count` batches. */
  #release(count: number): void {
    if (count === 0) return;
    for (const { accounts, bytes } of this.#inTransit.splice(0, count))
      for (const [at, account] of accounts.entries()) account.remove(bytes[at] as number);
  }
}
