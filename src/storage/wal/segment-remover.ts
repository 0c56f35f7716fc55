import { fsync, unlink } from 'node:fs';

/**
 * Removes released segments in the thread pool: removing one of 64 MB takes 20 ms. One after the other and each made
 * durable, oldest first, so that a power cut never leaves a gap in the log's sequence.
 */
export class SegmentRemover {
  readonly #directoryFile: number;
  readonly #onError: (error: Error) => void;
  #last = Promise.resolve();

  /** @param onError called for an error, after which nothing is removed any more */
  constructor(directoryFile: number, onError: (error: Error) => void) {
    this.#directoryFile = directoryFile;
    this.#onError = onError;
  }

  remove(path: string): void {
    this.#last = this.#last.then(() => this.#remove(path));
    this.#last.catch((error: unknown) => this.#onError(error as Error));
  }

  /** Resolves when all of them are removed, or one could not be. */
  async idle(): Promise<void> {
    await this.#last.catch(() => undefined);
  }

  #remove(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      unlink(path, (unlinkError) => {
        if (unlinkError !== null) return reject(unlinkError);
        fsync(this.#directoryFile, (error) => {
          if (error !== null) reject(error);
          else resolve();
        });
      });
    });
  }
}
