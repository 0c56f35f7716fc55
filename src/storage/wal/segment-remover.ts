import type { LogDisk, OpenDirectory } from '../../ports/log-disk.ts';

/**
 * Removes released segments in the thread pool: removing a segment of 64 MB takes 20 ms. Each removal is made durable
 * before the next one, oldest first, so that a power cut never leaves a gap in the log.
 */
export class SegmentRemover {
  readonly #disk: LogDisk;
  readonly #directory: OpenDirectory;
  readonly #onError: (error: Error) => void;
  #last = Promise.resolve();

  /** @param onError called for an error; nothing is removed after it */
  constructor(disk: LogDisk, directory: OpenDirectory, onError: (error: Error) => void) {
    this.#disk = disk;
    this.#directory = directory;
    this.#onError = onError;
  }

  remove(path: string): void {
    this.#last = this.#last.then(() => this.#remove(path));
    this.#last.catch((error: unknown) => this.#onError(error as Error));
  }

  /** Resolves when all are removed, or one removal failed. */
  async idle(): Promise<void> {
    await this.#last.catch(() => undefined);
  }

  #remove(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#disk.remove(path, (unlinkError) => {
        if (unlinkError !== null) return reject(unlinkError);
        this.#directory.sync((error) => {
          if (error !== null) reject(error);
          else resolve();
        });
      });
    });
  }
}
