import { promises as fs, write as writeTo } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { reasonOf } from '../lib/text.ts';
import { backupPath, removeOldBackups } from './rotated-files.ts';

export interface LineFileOptions {
  /** A file path, `stdout` or `stderr`. */
  readonly path: string;
  readonly maxSizeMegabytes: number;
  /** How many rotated files are kept. */
  readonly maxBackups: number;
  /** How many bytes may wait to be written. Further lines are dropped. */
  readonly maxWaitingBytes?: number;
  /** Called with the number of dropped lines and the reason, at most every ten seconds. */
  readonly onDropped: (lines: number, reason: string) => void;
  /** Makes the line that reports dropped lines when writing works again. */
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
 * Writes lines in batches and in order, with asynchronous I/O. The caller never waits. While the disk is slow, lines
 * wait in memory up to a limit. Lines above it are dropped and counted. A full file is rotated.
 */
export class LineFile {
  /** Counts since the start. */
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
  /** Lines dropped since the last report. */
  #unsaid = 0;
  #reportedMs = -Infinity;
  #unreported = 0;

  private constructor(options: LineFileOptions, handle: fs.FileHandle | undefined, fileBytes: number) {
    this.#options = options;
    this.#handle = handle;
    this.#descriptor = DESCRIPTORS[options.path] ?? -1;
    this.#fileBytes = fileBytes;
  }

  /** Rejects if the file cannot be opened. */
  static async open(options: LineFileOptions): Promise<LineFile> {
    if (DESCRIPTORS[options.path] !== undefined) return new LineFile(options, undefined, 0);
    await fs.mkdir(dirname(options.path), { recursive: true });
    const handle = await fs.open(options.path, 'a', PRIVATE);
    return new LineFile(options, handle, (await handle.stat()).size);
  }

  /** Takes a line with its newline. */
  write(line: string): void {
    const { maxWaitingBytes = MAX_WAITING_BYTES } = this.#options;
    if (this.#waitingBytes + line.length > maxWaitingBytes) {
      this.#drop(1, 'the disk is too slow');
      return;
    }
    this.#waiting.push(line);
    this.#waitingBytes += line.length;
    if (this.#waitingBytes >= BATCH_BYTES) this.#flush();
    else this.#timer ??= setTimeout(() => this.#flush(), FLUSH_MS).unref();
  }

  /** Writes the waiting lines, then closes. */
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
      this.#drop(lines.length, reasonOf(error));
    }
    // A batch counts as waiting until it is written.
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
        // A pipe with a slow reader.
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
      // Another process renamed or removed it.
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
