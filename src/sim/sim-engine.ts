import { assert } from '../lib/assert.ts';
import type { SeededRandom } from '../lib/seeded-random.ts';
import {
  type Column,
  columns,
  type EngineControl,
  type EngineIterator,
  type EngineRange,
  type WriteBatch,
} from '../ports/engine.ts';
import { MemoryEngine } from '../storage/memory-engine.ts';
import type { Life, SimTime } from './time.ts';

interface Operation {
  readonly column: Column;
  readonly key: Buffer;
  /** Undefined means delete. */
  readonly value: Buffer | undefined;
}

/** All rows of a store, for a snapshot. */
export type StoreCopy = readonly Operation[];

/** The state of an engine on disk, including batches that a power cut would undo. It outlives the process. */
export class DurableEngine {
  rows = new MemoryEngine();
  /** Undo functions of the unsynced batches, oldest first. */
  unsynced: Operation[][] = [];

  /** Undoes a random number of the last batches: a power cut keeps a prefix of the writes. */
  cutPower(random: SeededRandom): void {
    const lost = random.int(this.unsynced.length + 1);
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

function writeAll(engine: MemoryEngine, operations: readonly Operation[]): void {
  const batch = engine.batch();
  for (const { column, key, value } of operations) {
    if (value === undefined) batch.del(column, key);
    else batch.put(column, key, value);
  }
  engine.write(batch);
}

class SimBatch implements WriteBatch {
  readonly operations: Operation[] = [];

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

export interface SimEngineOptions {
  readonly time: SimTime;
  readonly life: Life;
  readonly durable: DurableEngine;
  readonly syncMs: () => number;
  /** A planted bug: may omit operations from writes. */
  readonly tamper?: ((operations: readonly Operation[]) => readonly Operation[]) | undefined;
}

/** An engine on a simulated disk. Batches are atomic, but durable only after a sync. */
export class SimEngine implements EngineControl {
  readonly #options: SimEngineOptions;

  constructor(options: SimEngineOptions) {
    this.#options = options;
  }

  get(column: Column, key: Uint8Array): Buffer | undefined {
    return this.#rows.get(column, key);
  }

  getMany(column: Column, keys: readonly Uint8Array[]): (Buffer | undefined)[] {
    return this.#rows.getMany(column, keys);
  }

  iterate(column: Column, range: EngineRange): EngineIterator {
    return this.#rows.iterate(column, range);
  }

  batch(): WriteBatch {
    return new SimBatch();
  }

  write(batch: WriteBatch): void {
    const { life, durable, tamper } = this.#options;
    if (life.isOver) return;
    assert(batch instanceof SimBatch, 'a batch is written by the engine that made it');
    const all = batch.operations;
    const operations = tamper === undefined ? all : tamper(all);
    const undo = operations.map(({ column, key }) => ({ column, key, value: this.#rows.get(column, key) }));
    durable.unsynced.push(undo);
    writeAll(this.#rows, operations);
  }

  syncLog(): Promise<void> {
    const { time, life, durable, syncMs } = this.#options;
    const count = durable.unsynced.length;
    return new Promise((resolve) => {
      time.after(syncMs(), () => {
        if (life.isOver) return;
        durable.unsynced.splice(0, count);
        resolve();
      });
    });
  }

  compactFiles(): Promise<void> {
    return Promise.resolve();
  }

  sizes(): { total: number; inUse: number } {
    return this.#rows.sizes();
  }

  get openReads(): number {
    return this.#rows.openReads;
  }

  canGrow(): Promise<boolean> {
    return Promise.resolve(true);
  }

  reopen(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  copy(): StoreCopy {
    return columns.flatMap((column) => {
      const rows = this.#rows.iterate(column, { gte: Buffer.alloc(0) });
      const found: Operation[] = [];
      for (let part = rows.next(500); part.length > 0; part = rows.next(500))
        for (let at = 0; at < part.length; at += 2)
          found.push({ column, key: part[at] ?? Buffer.alloc(0), value: part[at + 1] ?? Buffer.alloc(0) });
      rows.close();
      return found;
    });
  }

  get #rows(): MemoryEngine {
    return this.#options.durable.rows;
  }
}
