import { mkdirSync } from 'node:fs';
import { assert } from '../lib/assert.ts';
import type { SharedStore, StoreLoan } from '../ports/store-view.ts';
import {
  EngineFailedError,
  EngineFullError,
  EngineReopenedError,
  type EngineControl,
  type WriteBatch,
} from '../ports/engine.ts';
import { EMPTY } from '../wire/reader.ts';
import { DeletedRuns } from './deleted-runs.ts';
import { spaceOf } from './disk-space.ts';
import { defaultTuning, flushedBytes, openOptions, type RocksTuning } from './rocks-columns.ts';
import { RocksLogBound } from './rocks-log-bound.ts';
import { RocksLogSync } from './rocks-log-sync.ts';
import { openColumns, type OpenColumns } from './open-columns.ts';
import { RocksBatch } from './rocks-batch.ts';
import { RocksReader } from './rocks-reader.ts';
import { buildingDirectory, exchangeDirectories, finishBuilding, removeReplaced } from './replacement.ts';
import { RocksSizes } from './rocks-sizes.ts';
import { canGrow } from './space-probe.ts';
import { storeError } from './store-error.ts';
import {
  ALL_ROWS,
  rocksBinding,
  type BatchHandle,
  type ColumnChoice,
  type DatabaseHandle,
} from './rocksdb-binding.ts';

/** Larger batches are freed instead of being reused. */
const MAX_KEPT_BATCH_OPERATIONS = 4096;

const COMPACTION_POLL_MS = 100;
const MAX_COMPACTION_WAITS = 600;

/** Between two turns that search for runs of deleted rows. */
const RUNS_PAUSE_MS = 2;

const filler = Buffer.alloc(128 << 10);
/** A flush needs disk space before it frees any. */
const MIN_FREE_FOR_FLUSH = 64 << 20;

function openDatabase(database: DatabaseHandle, tuning: RocksTuning): Promise<OpenColumns> {
  return new Promise((resolve, reject) => {
    rocksBinding().db_open(database, openOptions(tuning), (error, families) => {
      if (error === null) resolve(openColumns(families));
      else reject(error);
    });
  });
}

function closeDatabase(database: DatabaseHandle): Promise<void> {
  return new Promise((resolve, reject) => {
    rocksBinding().db_close(database, (error) => (error ? reject(error) : resolve()));
  });
}

export interface RocksOptions {
  readonly directory: string;
  readonly tuning?: RocksTuning;
  /**
   * Called before the error is thrown, if a write or RocksDB's background work failed for another reason than a full
   * disk. The owner ends the process.
   */
  readonly onFailure?: (error: EngineFailedError) => void;
  /** Called after each batch written, for metrics. */
  readonly onWrite?: (durationMs: number) => void;
}

/** The engine on RocksDB. Only one process can open a directory at a time. Its worker threads attach by handle. */
export class RocksEngine extends RocksReader implements EngineControl, SharedStore {
  readonly #directory: string;
  readonly #tuning: RocksTuning;
  #logSync: RocksLogSync;
  #sizes: RocksSizes;
  readonly #logBound = new RocksLogBound(
    () => this.#sizes,
    () => this.#flushFew(),
  );
  readonly #deletedRuns = new DeletedRuns(
    {
      first: (choice, gte, lt) => this.#firstKey(choice, gte, lt),
      deleteRange: (choice, gte, lt) =>
        this.binding.db_clear(this.database, { column: choice?.column, gte, lt }),
    },
    (run) => {
      const timer = setTimeout(() => this.#withRuns(run), RUNS_PAUSE_MS).unref();
      return () => clearTimeout(timer);
    },
  );
  #spareBatch: BatchHandle | undefined;
  #unflushedBytes = 0;
  readonly #recalls = new Set<() => Promise<void>>();
  readonly #currentColumns = (): OpenColumns => this.columns;
  readonly #onFailure: (error: EngineFailedError) => void;
  readonly #onWrite: RocksOptions['onWrite'];
  /** Runs closing and opening one after the other. */
  #transition: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | undefined;

  private constructor(database: DatabaseHandle, columns: OpenColumns, options: RocksOptions) {
    super(database, columns);
    const { directory } = options;
    this.#directory = directory;
    this.#tuning = options.tuning ?? defaultTuning;
    this.#onFailure = options.onFailure ?? (() => undefined);
    this.#onWrite = options.onWrite;
    this.#logSync = new RocksLogSync(directory);
    this.#sizes = new RocksSizes(directory);
  }

  /**
   * Opens the store, and creates it if it is missing.
   *
   * @throws Error with code LEVEL_LOCKED if another process uses the directory, LEVEL_CORRUPTION or LEVEL_IO_ERROR if
   * its files can't be read
   */
  static async open(directory: string, options: Omit<RocksOptions, 'directory'> = {}): Promise<RocksEngine> {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const database = rocksBinding().db_init(directory);
    const columns = await openDatabase(database, options.tuning ?? defaultTuning);
    const engine = new RocksEngine(database, columns, { ...options, directory });
    await engine.#sizes.refresh();
    return engine;
  }

  /** A handle of the open store for a worker thread, which passes it to `RocksReader.attach`. */
  get sharedHandle(): bigint {
    return this.binding.db_get_handle(this.database);
  }

  /** How often a place with a row was taken for an empty one: always 0, see {@link DeletedRuns}. */
  get faultsOfRuns(): number {
    return this.#deletedRuns.faults;
  }

  lend(recall: () => Promise<void>): StoreLoan {
    const entry = (): Promise<void> => recall();
    this.#recalls.add(entry);
    return { handle: this.sharedHandle, giveBack: () => this.#recalls.delete(entry) };
  }

  /**
   * Refuses all calls at once, and then waits until no worker uses the database any more. Closing frees RocksDB's
   * threads and memory: a worker that still reads it would crash the process.
   */
  async #release(): Promise<void> {
    this.shut();
    this.#spareBatch = undefined;
    this.#deletedRuns.clear();
    await Promise.all([...this.#recalls].map((recall) => recall()));
    this.#recalls.clear();
    await this.#logSync.idle();
  }

  /** Runs `task` while the store is closed, after earlier tasks. */
  #whileClosed(task: () => Promise<void>): Promise<void> {
    this.shut();
    const run = this.#transition.then(async () => {
      if (this.#closing !== undefined) throw new EngineReopenedError('the store is closed');
      await this.#release();
      await task();
    });
    this.#transition = run.catch(() => undefined);
    return run;
  }

  async #openAgain(): Promise<void> {
    try {
      const columns = await openDatabase(this.handle, this.#tuning);
      if (this.#closing === undefined) this.opened(columns);
    } catch (error) {
      throw storeError(error);
    }
    await this.#sizes.refresh();
  }

  batch(): WriteBatch {
    const handle = this.#spareBatch ?? this.binding.batch_init();
    this.#spareBatch = undefined;
    return new RocksBatch(this.#currentColumns, handle, this.#deletedRuns);
  }

  write(batch: WriteBatch): void {
    assert(batch instanceof RocksBatch, 'a batch is written by the engine that made it');
    const keep = batch.length <= MAX_KEPT_BATCH_OPERATIONS;
    const handle = batch.take();
    const startedMs = performance.now();
    try {
      this.#commit(handle);
      this.#withRuns(() => batch.settleRuns());
      this.#logBound.wrote(batch.bytes);
      this.#onWrite?.(performance.now() - startedMs);
    } finally {
      this.binding.batch_clear(handle);
      if (keep) this.#spareBatch = handle;
    }
  }

  #commit(handle: BatchHandle): void {
    this.#guarded(() => this.binding.batch_write(this.database, handle, undefined));
  }

  /** A full disk is reported by the next write. Another failure ends the process. */
  #withRuns(run: () => void): void {
    if (!this.isOpen) return;
    try {
      this.#guarded(run);
    } catch (error) {
      if (!(error instanceof EngineFullError) && !(error instanceof EngineFailedError)) throw error;
    }
  }

  #firstKey(choice: ColumnChoice, gte: Buffer, lt: Buffer | undefined): Buffer | 'unknown' | undefined {
    const options = { ...ALL_ROWS, column: choice?.column, gte, lt, values: false };
    const iterator = this.binding.iterator_init(this.database, options);
    try {
      const {
        rows: [key],
        finished,
      } = this.binding.iterator_nextv_sync(iterator, 1);
      // RocksDB can end a search before it has an answer.
      return key ?? (finished ? undefined : 'unknown');
    } finally {
      this.binding.iterator_close(iterator);
    }
  }

  #guarded(write: () => void): void {
    try {
      write();
    } catch (error) {
      if (error instanceof EngineReopenedError) throw error;
      const failure = storeError(error);
      if (failure instanceof EngineFailedError) this.#onFailure(failure);
      throw failure;
    }
  }

  syncLog(): Promise<void> {
    if (!this.isOpen) return Promise.reject(new EngineReopenedError('the store is closed'));
    return this.#logSync.sync();
  }

  /**
   * RocksDB drops deleted rows in its background compactions. The binding has no call to start them, but they keep the
   * waste near a tenth. A flush may be missing: deletions in memory do not free space in the files. So the memory is
   * filled with rows that no reader sees and no file keeps, until it flushes. Then the call waits for the compactions
   * that follow.
   */
  async compactFiles(): Promise<void> {
    if (await this.#mayFlush()) {
      await this.#flush(['event', 'latest', 'version']);
      await this.#sizes.logsWereFlushed();
    }
    let idle = 0;
    for (let waits = 0; idle < 2 && waits < MAX_COMPACTION_WAITS; waits++) {
      await new Promise((resolve) => setTimeout(resolve, COMPACTION_POLL_MS));
      idle = this.#isCompacting() ? 0 : idle + 1;
    }
    await this.#sizes.refresh();
  }

  async #mayFlush(): Promise<boolean> {
    const { free } = await spaceOf(this.#directory);
    return free > MIN_FREE_FOR_FLUSH;
  }

  /** Flushes the families that receive few bytes for each put. */
  async #flushFew(): Promise<void> {
    if (await this.#mayFlush()) await this.#flush(['latest', 'version']);
  }

  /** Puts and deletes the EMPTY key, which no row has, in one batch. That uses memory and leaves no row. */
  async #flush(flushed: readonly (keyof typeof flushedBytes)[]): Promise<void> {
    for (const column of flushed) {
      for (let filled = 0; filled <= flushedBytes[column]; filled += filler.length) {
        const { choice } = this.columns[column];
        const handle = this.binding.batch_init();
        this.binding.batch_put(handle, EMPTY, filler, choice);
        this.binding.batch_del(handle, EMPTY, choice);
        this.#commit(handle);
        this.binding.batch_clear(handle);
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  }

  sizes(): { total: number; inUse: number } {
    if (this.isOpen)
      this.#sizes.noteLive(
        this.#property('rocksdb.estimate-live-data-size'),
        this.#property('rocksdb.live-sst-files-size'),
      );
    return this.#sizes.current();
  }

  /**
   * Bytes of events in memory that no table has yet. A flush writes them before RocksDB's log of them is removed, as does
   * an opening after a failure. The other columns have a few megabytes at most.
   */
  get unflushedBytes(): number {
    if (this.isOpen) this.#unflushedBytes = this.#property('rocksdb.cur-size-all-mem-tables');
    return this.#unflushedBytes;
  }

  canGrow(): Promise<boolean> {
    return canGrow(this.#directory);
  }

  reopen(): Promise<void> {
    return this.#whileClosed(async () => {
      // A failed store reports its failure again on closing.
      await closeDatabase(this.handle).catch(() => undefined);
      await this.#openAgain();
    });
  }

  /** Directory for a new store that replaces this one. Its contents are ignored otherwise. */
  get replacementDirectory(): string {
    return buildingDirectory(this.#directory);
  }

  /**
   * Replaces the store by the one in `replacementDirectory`, which is complete, closed and synced. Open iterators end,
   * workers are recalled, and every call throws until this resolves. After a crash in between, either the old or the
   * new store is complete.
   */
  async replaceFiles(): Promise<void> {
    await finishBuilding(this.#directory);
    await this.#whileClosed(async () => {
      await closeDatabase(this.handle).catch(() => undefined);
      await exchangeDirectories(this.#directory);
      this.#logSync = new RocksLogSync(this.#directory);
      this.#sizes = new RocksSizes(this.#directory);
      await this.#openAgain();
      await removeReplaced(this.#directory);
    });
  }

  close(): Promise<void> {
    this.shut();
    this.#closing ??= this.#transition.then(async () => {
      await this.#release();
      await closeDatabase(this.handle);
    });
    return this.#closing;
  }

  #isCompacting(): boolean {
    return (
      this.#property('rocksdb.num-running-compactions') + this.#property('rocksdb.num-running-flushes') > 0
    );
  }

  #property(name: string): number {
    return Number(this.binding.db_get_property(this.database, name));
  }
}
