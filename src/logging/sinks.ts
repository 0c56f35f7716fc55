import { closeSync, openSync, writeSync } from 'node:fs';

/** Where lines go. Writing is synchronous, so that the last lines before a crash are there. */
export interface Sink {
  write(line: string): void;
  close(): void;
}

/** Attempts to write to a pipe whose reader is behind before the line is given up. */
const maxAttempts = 100;

/** stdout or stderr. A reader that went away, or does not read, loses lines rather than stopping the server. */
export class DescriptorSink implements Sink {
  readonly #descriptor: number;

  constructor(descriptor: 1 | 2) {
    this.#descriptor = descriptor;
  }

  write(line: string): void {
    const bytes = Buffer.from(line);
    let at = 0;
    for (let attempt = 0; at < bytes.length && attempt < maxAttempts; attempt++) {
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

/** Appends to a file. Once the disk refuses, lines are dropped until it takes them again. */
export class FileSink implements Sink {
  readonly #descriptor: number;

  /** @throws when the file cannot be opened */
  constructor(path: string) {
    this.#descriptor = openSync(path, 'a', 0o644);
  }

  write(line: string): void {
    try {
      writeSync(this.#descriptor, line);
    } catch {
      // Nowhere left to say so: the log is what failed.
    }
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}
