import { promises as fs } from 'node:fs';
import { join } from 'node:path';

const logFile = /^(\d+)\.log$/;

async function syncFile(path: string): Promise<void> {
  let file;
  try {
    file = await fs.open(path, 'r');
  } catch (error) {
    // RocksDB removes a log when its rows are in synced tables.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  try {
    await file.datasync();
  } finally {
    await file.close();
  }
}

/**
 * Makes RocksDB's unsynced writes durable without RocksDB. RocksDB's own way, a synced batch, would block all writers
 * during the fsync, on every thread. But each write reaches the log file before `write` returns. So an fdatasync of the
 * log files in libuv's thread pool does the same, and blocks no writer.
 */
export class RocksLogSync {
  readonly #directory: string;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  /** Logs with lower numbers were closed and synced earlier. */
  #syncedBelow = 0;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Resolves when everything written before the call is on disk. Waiting calls share one sync. */
  sync(): Promise<void> {
    if (this.#running === undefined) return this.#start();
    this.#next ??= this.#running.then(
      () => this.#startNext(),
      () => this.#startNext(),
    );
    return this.#next;
  }

  /** Resolves when no sync is running. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running.catch(() => undefined);
  }

  #startNext(): Promise<void> {
    this.#next = undefined;
    return this.#start();
  }

  #start(): Promise<void> {
    const run = this.#syncAll().finally(() => {
      if (this.#running === run) this.#running = undefined;
    });
    this.#running = run;
    return run;
  }

  async #syncAll(): Promise<void> {
    const numbers: number[] = [];
    const names = new Map<number, string>();
    for (const name of await fs.readdir(this.#directory)) {
      const match = logFile.exec(name);
      if (match === null) continue;
      const number = Number(match[1]);
      if (number < this.#syncedBelow) continue;
      numbers.push(number);
      names.set(number, name);
    }
    numbers.sort((a, b) => a - b);
    for (const number of numbers) await syncFile(join(this.#directory, names.get(number) ?? ''));
    const directory = await fs.open(this.#directory, 'r');
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
    this.#syncedBelow = Math.max(this.#syncedBelow, numbers.at(-1) ?? 0);
  }
}
