import { assert } from '../lib/assert.ts';
import { type Column, EngineReopenedError, type WriteBatch } from '../ports/engine.ts';
import { MemoryEngine } from '../storage/memory-engine.ts';
import {
  type MachineStore,
  type MachineStoreOptions,
  OpenStore,
  type Operation,
  type StoreCopy,
  type StoreUser,
  writeAll,
} from './open-store.ts';
import { StoreFaults } from './store-faults.ts';

/** May leave operations out of what is written: a planted bug. */
export type Tamper = (operations: readonly Operation[]) => readonly Operation[];

/** A store in memory, and what of it a power cut would take. */
export class MemoryStore implements MachineStore {
  readonly faults: StoreFaults;
  readonly #options: MachineStoreOptions;
  readonly #tamper: Tamper | undefined;
  rows = new MemoryEngine();
  /** Undo functions of the unsynced batches, oldest first. */
  unsynced: Operation[][] = [];

  constructor(options: MachineStoreOptions, tamper: Tamper | undefined) {
    this.faults = new StoreFaults(options.time);
    this.#options = options;
    this.#tamper = tamper;
  }

  open(user: StoreUser): OpenStore {
    return new SimEngine({ ...this.#options, ...user }, this, this.#tamper);
  }

  /** A power cut takes the last batches back, as many as chance has it, and keeps those before. */
  crash(cutsPower: boolean): void {
    if (!cutsPower) return;
    const lost = this.#options.random.int(this.unsynced.length + 1);
    for (let count = 0; count < lost; count += 1) {
      const undo = this.unsynced.pop() ?? [];
      writeAll(this.rows, undo.reverse());
    }
  }

  /** Replaces this store atomically and durably with another one. */
  replace(copy: StoreCopy): void {
    this.rows = new MemoryEngine();
    writeAll(this.rows, copy);
    this.unsynced = [];
  }
}

class SimBatch implements WriteBatch {
  readonly operations: Operation[] = [];
  /** Of the store, which was opened that many times before. */
  readonly opening: number;

  constructor(opening: number) {
    this.opening = opening;
  }

  get length(): number {
    return this.operations.length;
  }

  put(column: Column, key: Uint8Array, value: Uint8Array): void {
    this.operations.push({ column, key: Buffer.from(key), value: Buffer.from(value) });
  }

  del(column: Column, key: Uint8Array): void {
    this.operations.push({ column, key: Buffer.from(key), value: undefined });
  }
}

/** An engine on a simulated disk. Batches are atomic, but durable only after a sync. */
class SimEngine extends OpenStore {
  readonly #durable: MemoryStore;
  readonly #tamper: Tamper | undefined;
  #opening = 0;

  constructor(options: MachineStoreOptions & StoreUser, durable: MemoryStore, tamper: Tamper | undefined) {
    super(options, durable.faults);
    this.#durable = durable;
    this.#tamper = tamper;
  }

  protected get rows(): MemoryEngine {
    return this.#durable.rows;
  }

  protected newBatch(): WriteBatch {
    return new SimBatch(this.#opening);
  }

  protected commit(batch: WriteBatch): void {
    assert(batch instanceof SimBatch, 'a batch is written by the engine that made it');
    if (batch.opening !== this.#opening)
      throw new EngineReopenedError('the store was reopened since the batch was created');
    const all = batch.operations;
    const operations = this.#tamper?.(all) ?? all;
    const undo = operations.map(({ column, key }) => ({ column, key, value: this.rows.get(column, key) }));
    this.#durable.unsynced.push(undo);
    writeAll(this.rows, operations);
  }

  protected beginSync(): () => void {
    const durable = this.#durable;
    const batches = new Set(durable.unsynced);
    return () => {
      durable.unsynced = durable.unsynced.filter((batch) => !batches.has(batch));
    };
  }

  protected reopenRows(): Promise<void> {
    this.#opening += 1;
    return this.rows.reopen();
  }

  protected exchangeRows(copy: StoreCopy): Promise<void> {
    this.#durable.replace(copy);
    return Promise.resolve();
  }
}
