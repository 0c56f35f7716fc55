import { mkdtempSync, readdirSync, rmSync, statSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { WriteBatch } from '../ports/engine.ts';
import { removeLeftovers, settleReplacement } from '../storage/replacement.ts';
import { RocksEngine } from '../storage/rocks-engine.ts';
import {
  type MachineStore,
  type MachineStoreOptions,
  OpenStore,
  type StoreCopy,
  type StoreUser,
  writeAll,
} from './open-store.ts';
import { StoreFaults } from './store-faults.ts';

const ROWS_PER_BATCH = 1000;

/**
 * A store of RocksDB in a directory of its own. Simulated time stands still while RocksDB works, so that a seed repeats
 * its history.
 *
 * A process that dies leaves what RocksDB has given to the system: closing writes nothing more. A power cut takes the
 * end of RocksDB's log, from anywhere after the last sync on.
 */
export class RocksStore implements MachineStore {
  readonly faults: StoreFaults;
  readonly #options: MachineStoreOptions;
  readonly #root = mkdtempSync(join(tmpdir(), 'keystead-sim-'));
  readonly #directory = join(this.#root, 'rocksdb');
  #engine: RocksEngine | undefined;
  #closing: Promise<void> = Promise.resolve();
  /** Bytes of each of RocksDB's logs that a power cut does not take. */
  readonly #synced = new Map<string, number>();

  constructor(options: MachineStoreOptions) {
    this.faults = new StoreFaults(options.time);
    this.#options = options;
  }

  async open(user: StoreUser): Promise<OpenStore> {
    await this.#closing;
    settleReplacement(this.#directory);
    const engine = await RocksEngine.open(this.#directory, { onFailure: user.onFailure });
    removeLeftovers(this.#directory);
    this.#engine = engine;
    this.#synced.clear();
    return new OpenRocksStore({ ...this.#options, ...user }, this, engine);
  }

  crash(cutsPower: boolean): void {
    const engine = this.#engine;
    if (engine === undefined) return;
    this.#engine = undefined;
    const lost = cutsPower ? this.#options.random.next() : 0;
    this.#closing = engine.close().then(() => this.#cutLog(lost));
    this.#options.time.hold(this.#closing);
  }

  /** @param lost the share, of what is not synced, that is gone */
  #cutLog(lost: number): void {
    const newest = [...this.logSizes()].at(-1);
    if (newest === undefined || lost === 0) return;
    const [name, size] = newest;
    const synced = Math.min(size, this.#synced.get(name) ?? 0);
    truncateSync(join(this.#directory, name), size - Math.floor((size - synced) * lost));
  }

  /** RocksDB's logs, oldest first. */
  logSizes(): Map<string, number> {
    const names = readdirSync(this.#directory).filter((name) => name.endsWith('.log'));
    return new Map(names.sort().map((name) => [name, statSync(join(this.#directory, name)).size]));
  }

  synced(sizes: ReadonlyMap<string, number>): void {
    for (const [name, size] of sizes) this.#synced.set(name, size);
  }

  async replace(engine: RocksEngine, copy: StoreCopy): Promise<void> {
    const next = await RocksEngine.open(engine.replacementDirectory);
    for (let at = 0; at < copy.length; at += ROWS_PER_BATCH)
      writeAll(next, copy.slice(at, at + ROWS_PER_BATCH));
    await next.syncLog();
    await next.close();
    await engine.replaceFiles();
    this.#synced.clear();
  }

  /** Removes the directory. */
  async remove(): Promise<void> {
    this.crash(false);
    await this.#closing;
    rmSync(this.#root, { recursive: true, force: true });
  }
}

class OpenRocksStore extends OpenStore {
  protected readonly rows: RocksEngine;
  readonly #store: RocksStore;

  constructor(options: MachineStoreOptions & StoreUser, store: RocksStore, engine: RocksEngine) {
    super(options, store.faults);
    this.#store = store;
    this.rows = engine;
  }

  protected newBatch(): WriteBatch {
    return this.rows.batch();
  }

  protected commit(batch: WriteBatch): void {
    this.rows.write(batch);
  }

  protected beginSync(): () => void {
    const store = this.#store;
    const sizes = store.logSizes();
    this.options.time.hold(this.rows.syncLog());
    return () => store.synced(sizes);
  }

  protected reopenRows(): Promise<void> {
    return this.rows.reopen();
  }

  protected exchangeRows(copy: StoreCopy): Promise<void> {
    return this.#store.replace(this.rows, copy);
  }
}
