import { AppliedState } from '../apply/applied-state.ts';
import { assert } from '../lib/assert.ts';
import { EngineFullError } from '../ports/engine.ts';
import type { ResumableExport } from '../ports/snapshot.ts';
import type { SnapshotPorts } from '../server/whole-member.ts';
import type { OpenStore, StoreCopy } from './open-store.ts';
import type { StoreFaults } from './store-faults.ts';

export interface SimSnapshotsOptions {
  readonly store: OpenStore;
  readonly faults: StoreFaults;
  /** Snapshots on their way, as chunks name them. */
  readonly copies: Map<number, StoreCopy>;
}

/** The snapshots that a process sends and receives: copies of whole stores, which travel by their names. */
export class SimSnapshots implements SnapshotPorts {
  readonly #options: SimSnapshotsOptions;
  #received: StoreCopy | undefined;

  constructor(options: SimSnapshotsOptions) {
    this.#options = options;
  }

  readonly export = (): Promise<ResumableExport> => {
    const { store, copies } = this.#options;
    const { index, term, confState } = new AppliedState(store);
    const name = copies.size;
    copies.set(name, store.copy());
    const chunk = Buffer.alloc(4);
    chunk.writeUInt32BE(name);
    return Promise.resolve({
      totalBytes: chunk.length,
      index,
      term,
      confState,
      storageVersion: '3.7.0',
      sha256: undefined,
      read: () => Promise.resolve(undefined),
      chunks: () => oneChunk(chunk),
      isOpen: true,
      from: () => oneChunk(chunk),
      close: () => Promise.resolve(),
    });
  };

  readonly membershipData = (): Buffer => Buffer.alloc(0);

  readonly receive = async (chunks: AsyncIterable<Buffer>): Promise<void> => {
    if (this.#options.faults.isFull) throw new EngineFullError('no room for a snapshot');
    for await (const chunk of chunks) this.#received = this.#options.copies.get(chunk.readUInt32BE(0));
  };

  readonly kept = (): number => 0;

  /** What was received takes the place of the store. */
  async replaceStore(): Promise<void> {
    const copy = this.#received;
    assert(copy !== undefined, 'what replaces the store was received');
    this.#received = undefined;
    await this.#options.store.exchange(copy);
  }
}

async function* oneChunk(chunk: Buffer): AsyncGenerator<Buffer> {
  await Promise.resolve();
  yield chunk;
}
