import { promises as fs, write as writeTo } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { backupPath, removeOldBackups } from './rotated-files.ts';

export interface LineFileOptions {
  /** A file, or `stdout` or `stderr`. */
  readonly path: string;
  readonly maxSizeMegabytes: number;
  /** Files moved aside that are kept. */
  readonly maxBackups: number;
  /** Bytes that wait to be written, beyond which lines are dropped. */
  readonly maxWaitingBytes?: number;
  /** Told how many lines were dropped, at most every ten seconds, and why. */
  readonly onDropped: (lines: number, reason: string) => void;
  /** The line that stands for those dropped, once lines are written again. */
  readonly droppedLine: (lines: number) => string;
}

const MEGABYTE = 1024 * 1024;
const MAX_WAITING_BYTES = 8 * MEGABYTE;
const BATCH_BYTES = 64 * 1024;
const FLUSH_MS = 100;
const REPORT_MS = 10_000;
const RETRY_MS = 20;
const PRIVATE = 0o600;
const writeDescriptor = promisify(writeTo);
const DESCRIPTORS: Readonly<Record<string, number>> = { stdout: 1, stderr: 2 };

/**
 * Lines written by other threads, in batches and in order. Who writes a line never waits: while the disk is behind,
 * lines wait in memory up to a bound, and those beyond it are dropped and counted. A file that is full moves aside.
 */
export class LineFile {
  /** Since the start. */
  written = 0;
  dropped = 0;
  readonly #options: LineFileOptions;
  #handle: fs.FileHandle | undefined;
  readonly #descriptor: number;
  #fileBytes: number;
  #waiting: string[] = [];
  #waitingBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #flushing: Promise<void> | undefined;
  /** Dropped since the last line that said so. */
  #unsaid = 0;
  #reportedMs = -Infinity;
  #unreported = 0;

  private constructor(options: LineFileOptions, handle: fs.FileHandle | undefined, fileBytes: number) {
    this.#options = options;
    this.#handle = handle;
    this.#descriptor = DESCRIPTORS[options.path] ?? -1;
    this.#fileBytes = fileBytes;
  }

  /** Rejects where the file cannot be opened. */
  static async open(options: LineFileOptions): Promise<LineFile> {
    if (DESCRIPTORS[options.path] !== undefined) return new LineFile(options, undefined, 0);
    await fs.mkdir(dirname(options.path), { recursive: true });
    const handle = await fs.open(options.path, 'a', PRIVATE);
    return new LineFile(options, handle, (await handle.stat()).size);
  }

  /** Takes a line with its end. */
  write(line: string): void {
    const { maxWaitingBytes = MAX_WAITING_BYTES } = this.#options;
    if (this.#waitingBytes + line.length > maxWaitingBytes) {
      this.#drop(1, 'the disk does not keep up');
      return;
    }
    this.#waiting.push(line);
    this.#waitingBytes += line.length;
    if (this.#waitingBytes >= BATCH_BYTES) this.#flush();
    else this.#timer ??= setTimeout(() => this.#flush(), FLUSH_MS).unref();
  }

  /** Writes what waits, then closes. */
  async close(): Promise<void> {
    this.#flush();
    while (this.#flushing !== undefined) await this.#flushing;
    await this.#handle?.close();
    this.#handle = undefined;
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#flushing !== undefined || this.#waiting.length === 0) return;
    this.#flushing = this.#writeWaiting().finally(() => {
      this.#flushing = undefined;
      this.#flush();
    });
  }

  async #writeWaiting(): Promise<void> {
    const lines = this.#waiting;
    this.#waiting = [];
    const unsaid = this.#unsaid;
    const text = lines.join('') + (unsaid > 0 ? this.#options.droppedLine(unsaid) : '');
    const bytes = Buffer.from(text);
    const counted = this.#waitingBytes;
    try {
      await this.#rotateFor(bytes.length);
      await this.#append(bytes);
      this.written += lines.length;
      this.#unsaid -= unsaid;
    } catch (error) {
      this.#drop(lines.length, error instanceof Error ? error.message : String(error));
    }
    // Until it is written, a batch takes the room of those to come.
    this.#waitingBytes -= counted;
  }

  async #append(bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      if (this.#handle !== undefined) {
        at += (await this.#handle.write(bytes, at)).bytesWritten;
        continue;
      }
      try {
        at += (await writeDescriptor(this.#descriptor, bytes.subarray(at))).bytesWritten;
      } catch (error) {
        // A pipe whose reader is behind.
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
        await delay(RETRY_MS);
      }
    }
    this.#fileBytes += bytes.length;
  }

  async #rotateFor(bytes: number): Promise<void> {
    const { path, maxSizeMegabytes, maxBackups } = this.#options;
    if (this.#handle === undefined || maxSizeMegabytes === 0) return;
    if (this.#fileBytes === 0 || this.#fileBytes + bytes <= maxSizeMegabytes * MEGABYTE) return;
    await fs.rename(path, backupPath(path, Date.now())).catch((error: unknown) => {
      // Somebody moved it away or removed it.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    });
    const next = await fs.open(path, 'a', PRIVATE);
    await this.#handle.close();
    this.#handle = next;
    this.#fileBytes = 0;
    removeOldBackups(path, { maxBackups });
  }

  #drop(lines: number, reason: string): void {
    this.dropped += lines;
    this.#unsaid += lines;
    this.#unreported += lines;
    const now = performance.now();
    if (now - this.#reportedMs < REPORT_MS) return;
    this.#reportedMs = now;
    this.#options.onDropped(this.#unreported, reason);
    this.#unreported = 0;
  }
}
