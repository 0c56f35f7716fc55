import type { Worker } from 'node:worker_threads';
import type { ResumableExport } from '../ports/snapshot.ts';
import type { SharedStore, StoreLoan } from '../ports/store-view.ts';
import { ConfState } from '../wire/gen/raftpb.ts';
import { startWorker } from '../threads/start-worker.ts';
import type { ExportMessage, MoreMessage, SeekMessage, WorkerTask } from './worker-messages.ts';

const CHUNK_BYTES = 256 << 10;
/** How many chunks are made before they are read. */
const CHUNKS_AHEAD = 3;

const more: MoreMessage = { type: 'more' };

type Opened = Extract<ExportMessage, { type: 'opened' }>;

/**
 * Exports the store as a file in the format of etcd's database, with the same buckets, keys, values and HashKV as in
 * etcd. The file shows one moment between the call and the resolution of its promise; `index` says which.
 *
 * A worker thread reads the store twice: for the size and then for the bytes. Writes and compactions continue
 * meanwhile.
 *
 * If the store is closed or opened again meanwhile, the export ends with an error.
 */
export async function exportSnapshot(store: SharedStore): Promise<ResumableExport> {
  const loan = store.lend(() => snapshot.close());
  const task: WorkerTask = { kind: 'export', sharedHandle: loan.handle, chunkBytes: CHUNK_BYTES };
  const snapshot = new WorkerExport(startWorker('snapshot-worker', { workerData: task }), loan);
  try {
    await snapshot.opened();
  } catch (error) {
    await snapshot.close();
    throw error;
  }
  return snapshot;
}

interface Waiting {
  readonly resolve: (chunk: Buffer | undefined) => void;
  readonly reject: (error: Error) => void;
}

class WorkerExport implements ResumableExport {
  readonly #worker: Worker;
  readonly #chunks: Buffer[] = [];
  readonly #whenOpened: Promise<Opened>;
  #opened: Opened | undefined;
  #confState = ConfState.create();
  #waiting: Waiting | undefined;
  #failure: Error | undefined;
  #sha256: Buffer | undefined;
  #round = 0;
  #isAtStart = true;
  #closing: Promise<unknown> | undefined;

  constructor(worker: Worker, loan: StoreLoan) {
    this.#worker = worker;
    this.#whenOpened = new Promise((resolve, reject) => {
      worker.on('message', (message: ExportMessage) => {
        if (message.type === 'opened') resolve(message);
        else this.#take(message);
      });
      const fail = (error: Error): void => {
        reject(error);
        this.#fail(error);
      };
      worker.once('error', fail);
      worker.once('exit', () => {
        loan.giveBack();
        fail(new Error('the snapshot was closed before its end'));
      });
    });
    // The caller that opens the export gets the error. Later errors go to the reader.
    this.#whenOpened.catch(() => undefined);
  }

  async opened(): Promise<void> {
    this.#opened = await this.#whenOpened;
    this.#confState = ConfState.decode(this.#opened.confState);
    this.#askAhead();
  }

  #askAhead(): void {
    for (let n = 0; n < CHUNKS_AHEAD; n += 1) this.#worker.postMessage(more);
  }

  get #head(): Opened {
    if (this.#opened === undefined) throw new Error('the snapshot is not open yet');
    return this.#opened;
  }

  get totalBytes(): number {
    return this.#head.totalBytes;
  }

  get index(): number {
    return this.#head.index;
  }

  get term(): number {
    return this.#head.term;
  }

  get confState(): ConfState {
    return this.#confState;
  }

  get storageVersion(): string {
    return this.#head.storageVersion;
  }

  get sha256(): Buffer | undefined {
    return this.#chunks.length > 0 ? undefined : this.#sha256;
  }

  get isOpen(): boolean {
    return this.#failure === undefined && this.#closing === undefined;
  }

  read(): Promise<Buffer | undefined> {
    this.#isAtStart = false;
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) {
      if (this.#sha256 === undefined) this.#worker.postMessage(more);
      return Promise.resolve(chunk);
    }
    if (this.#sha256 !== undefined) return Promise.resolve(undefined);
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#waiting !== undefined)
      return Promise.reject(new Error('a snapshot is read one chunk at a time'));
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }

  async *chunks(): AsyncGenerator<Buffer, void> {
    try {
      for (let chunk = await this.read(); chunk !== undefined; chunk = await this.read()) yield chunk;
    } finally {
      await this.close();
    }
  }

  async *from(offset: number): AsyncGenerator<Buffer, void> {
    if (offset > 0 || !this.#isAtStart) this.#seek(offset);
    const round = this.#round;
    while (round === this.#round) {
      const chunk = await this.read();
      if (chunk === undefined) return;
      yield chunk;
    }
  }

  #seek(offset: number): void {
    this.#round += 1;
    this.#chunks.length = 0;
    this.#sha256 = undefined;
    this.#waiting?.reject(new Error('the snapshot is being read again'));
    this.#waiting = undefined;
    const seek: SeekMessage = { type: 'seek', offset, round: this.#round };
    this.#worker.postMessage(seek);
    this.#askAhead();
  }

  async close(): Promise<void> {
    this.#closing ??= this.#worker.terminate();
    await this.#closing;
  }

  #take(message: Exclude<ExportMessage, Opened>): void {
    if (message.round !== this.#round) return;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (message.type === 'end') {
      this.#sha256 = Buffer.from(message.sha256);
      waiting?.resolve(undefined);
      return;
    }
    const { buffer, byteOffset, length } = message.bytes;
    const chunk = Buffer.from(buffer, byteOffset, length);
    if (waiting === undefined) this.#chunks.push(chunk);
    else {
      this.#worker.postMessage(more);
      waiting.resolve(chunk);
    }
  }

  #fail(error: Error): void {
    // Also after the last chunk, because the file may be read again.
    this.#failure ??= error;
    this.#waiting?.reject(this.#failure);
    this.#waiting = undefined;
  }
}
