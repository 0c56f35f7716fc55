import {
  type Column,
  columns,
  type Engine,
  type EngineControl,
  EngineFailedError,
  type EngineIterator,
  type EngineRange,
  EngineReopenedError,
  type WriteBatch,
} from '../ports/engine.ts';
import type { SeededRandom } from '../lib/seeded-random.ts';
import type { StoreFaults } from './store-faults.ts';
import type { Life, SimTime } from './time.ts';

/** A row of a store, or a change of one. */
export interface Operation {
  readonly column: Column;
  readonly key: Buffer;
  /** Undefined deletes. */
  readonly value: Buffer | undefined;
}

/** All rows of a store, for one that is sent to another member. */
export type StoreCopy = readonly Operation[];

/** The store on the disk of a machine, which stays when its processes go. */
export interface MachineStore {
  readonly faults: StoreFaults;
  /** Opens it for a process. */
  readonly open: (user: StoreUser) => OpenStore | Promise<OpenStore>;
  /** The process using it has died. */
  readonly crash: (cutsPower: boolean) => void;
}

/** What the store has to do with the process that uses it. */
export interface StoreUser {
  readonly life: Life;
  /** The disk of the store failed: the process must end. */
  readonly onFailure: (error: Error) => void;
}

export interface MachineStoreOptions {
  readonly time: SimTime;
  readonly random: SeededRandom;
  /** Milliseconds that the next sync takes. */
  readonly syncMs: () => number;
}

/** Milliseconds that opening a store again takes. */
const OPENING_MS = 20;

/** Writes rows into a store as one batch. */
export function writeAll(engine: Engine, operations: readonly Operation[]): void {
  const batch = engine.batch();
  for (const { column, key, value } of operations) {
    if (value === undefined) batch.del(column, key);
    else batch.put(column, key, value);
  }
  engine.write(batch);
}

/** The store of a process that runs. Its calls take simulated time, and fail as the faults of the machine say. */
export abstract class OpenStore implements EngineControl {
  protected readonly options: MachineStoreOptions & StoreUser;
  protected readonly faults: StoreFaults;
  #isShut = false;
  /** The disk was full: as RocksDB, the store takes no more writes until it is opened again. */
  #refusesWrites = false;

  protected constructor(options: MachineStoreOptions & StoreUser, faults: StoreFaults) {
    this.options = options;
    this.faults = faults;
  }

  /** What holds the rows. */
  protected abstract readonly rows: EngineControl;
  protected abstract newBatch(): WriteBatch;
  protected abstract commit(batch: WriteBatch): void;
  /** Makes durable what was written so far. @returns what to note once the process learns of it */
  protected abstract beginSync(): () => void;
  /** Ends all reads and batches. Its rows stay. */
  protected abstract reopenRows(): Promise<void>;
  protected abstract exchangeRows(copy: StoreCopy): Promise<void>;

  get(column: Column, key: Uint8Array): Buffer | undefined {
    this.#checkOpen();
    return this.rows.get(column, key);
  }

  getMany(column: Column, keys: readonly Uint8Array[]): (Buffer | undefined)[] {
    this.#checkOpen();
    return this.rows.getMany(column, keys);
  }

  iterate(column: Column, range: EngineRange): EngineIterator {
    this.#checkOpen();
    return this.rows.iterate(column, range);
  }

  batch(): WriteBatch {
    this.#checkOpen();
    return this.newBatch();
  }

  write(batch: WriteBatch): void {
    if (this.options.life.isOver) return;
    this.#checkOpen();
    try {
      this.faults.write(this.#refusesWrites);
    } catch (error) {
      this.#refusesWrites = true;
      if (error instanceof EngineFailedError) this.options.onFailure(error);
      throw error;
    }
    this.commit(batch);
  }

  syncLog(): Promise<void> {
    if (this.#isShut) return Promise.reject(new EngineReopenedError('the store is closed'));
    const { time, life, syncMs, onFailure } = this.options;
    const synced = this.beginSync();
    return new Promise((resolve) => {
      time.after(syncMs(), () => {
        if (life.isOver) return;
        const failure = this.faults.sync();
        if (failure !== undefined) {
          onFailure(failure);
          return;
        }
        synced();
        resolve();
      });
    });
  }

  compactFiles(): Promise<void> {
    return Promise.resolve();
  }

  sizes(): { total: number; inUse: number } {
    return this.rows.sizes();
  }

  get openReads(): number {
    return this.rows.openReads;
  }

  canGrow(): Promise<boolean> {
    return Promise.resolve(!this.faults.isFull);
  }

  reopen(): Promise<void> {
    return this.#whileShut(() => {
      this.faults.open();
      return Promise.resolve();
    });
  }

  /** Another store takes this one's place. A crash leaves one of the two, whole. */
  exchange(copy: StoreCopy): Promise<void> {
    return this.#whileShut(() => this.exchangeRows(copy));
  }

  close(): Promise<void> {
    this.#isShut = true;
    return Promise.resolve();
  }

  /** All its rows, for another member. */
  copy(): StoreCopy {
    return columns.flatMap((column) => {
      const rows = this.iterate(column, { gte: Buffer.alloc(0) });
      const found: Operation[] = [];
      for (let part = rows.next(500); part.length > 0; part = rows.next(500))
        for (let at = 0; at < part.length; at += 2)
          found.push({ column, key: part[at] ?? Buffer.alloc(0), value: part[at + 1] ?? Buffer.alloc(0) });
      rows.close();
      return found;
    });
  }

  /** The store is closed for a moment; reads and batches under way end. When `act` fails, it stays closed. */
  async #whileShut(act: () => Promise<void>): Promise<void> {
    const { random } = this.options;
    this.#isShut = true;
    await this.#pause(random.between(1, OPENING_MS));
    await this.#held(this.reopenRows());
    await this.#held(act());
    await this.#pause(random.between(1, OPENING_MS));
    this.#isShut = false;
    this.#refusesWrites = false;
  }

  /** Simulated time waits for something that takes real time. */
  #held(task: Promise<void>): Promise<void> {
    this.options.time.hold(task.catch(() => undefined));
    return task;
  }

  /** Resolves after a time, unless the process has died by then. */
  #pause(durationMs: number): Promise<void> {
    const { time, life } = this.options;
    return new Promise((resolve) => {
      time.after(durationMs, () => {
        if (!life.isOver) resolve();
      });
    });
  }

  #checkOpen(): void {
    if (this.#isShut) throw new EngineReopenedError('the store is closed');
  }
}
