import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { logExists, readLog, type ReadLog } from './open-log.ts';

/**
 * A file that was written shortly before it was looked at may be written again with the same time. The times of files have
 * the resolution of the kernel's clock, 1 to 10 ms.
 */
const TIME_RESOLUTION_MS = 50;

interface State {
  /** Names, sizes and times of all files. */
  readonly text: string;
  readonly newestMs: number;
}

function stateOf(directory: string): State {
  let text = '';
  let newestMs = 0;
  for (const name of readdirSync(directory).toSorted()) {
    const { ino, size, mtimeNs } = statSync(join(directory, name), { bigint: true });
    text += `${name} ${ino} ${size} ${mtimeNs}\n`;
    newestMs = Math.max(newestMs, Number(mtimeNs / 1_000_000n));
  }
  return { text, newestMs };
}

/**
 * Reads the log while the store is being opened, which takes other threads about as long.
 *
 * The lock of the store also protects the log, and is not held yet. A process that is about to end may still write to the
 * log. So what was read counts only if the files are the same once the lock is held.
 */
export class EarlyLog {
  readonly #directory: string;
  readonly #before: State;
  readonly #begunMs: number;
  readonly #found: ReadLog;

  private constructor(directory: string) {
    this.#directory = directory;
    this.#begunMs = Date.now();
    this.#before = stateOf(directory);
    this.#found = readLog({ directory });
  }

  /** @returns undefined if the log can't be read. It is read again with the lock, and an error is thrown then. */
  static read(directory: string): EarlyLog | undefined {
    try {
      return logExists(directory) ? new EarlyLog(directory) : undefined;
    } catch {
      return undefined;
    }
  }

  /** Returns what was read, after the lock was taken; undefined if the log must be read again. */
  unchanged(): ReadLog | undefined {
    const { text, newestMs } = this.#before;
    if (newestMs > this.#begunMs - TIME_RESOLUTION_MS) return undefined;
    return stateOf(this.#directory).text === text ? this.#found : undefined;
  }
}
