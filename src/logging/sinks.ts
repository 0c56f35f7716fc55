import { closeSync, openSync, writeSync } from 'node:fs';

/** An output for lines. Writes are synchronous, so that the last lines before a crash are written. */
export interface Sink {
  write(line: string): void;
  close(): void;
}

/** How often a write to a full pipe is tried before the line is dropped. */
const MAX_ATTEMPTS = 100;

/** stdout or stderr. If the reader is gone or does not read, lines are lost, and the server continues. */
export class DescriptorSink implements Sink {
  readonly #descriptor: number;

  constructor(descriptor: 1 | 2) {
    this.#descriptor = descriptor;
  }

  write(line: string): void {
    const bytes = Buffer.from(line);
    let at = 0;
    for (let attempt = 0; at < bytes.length && attempt < MAX_ATTEMPTS; attempt++) {
      try {
        at += writeSync(this.#descriptor, bytes, at);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return;
      }
    }
  }

  close(): void {
    // The process owns its standard streams.
  }
}

/** Appends to a file. While the disk refuses writes, lines are dropped. */
export class FileSink implements Sink {
  readonly #descriptor: number;

  /** @throws if the file cannot be opened */
  constructor(path: string) {
    this.#descriptor = openSync(path, 'a', 0o644);
  }

  write(line: string): void {
    try {
      writeSync(this.#descriptor, line);
    } catch {
      // The error cannot be logged: it is the log that failed.
    }
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}
