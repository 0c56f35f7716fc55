import { renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { SegmentFile } from './segment-file.ts';

/** Between two slices, so that preparing takes no more than about 20 MB/s from the disk while there is time. */
const pauseMs = 6;
const retryMs = 500;

const isDiskFull = (error: unknown): boolean => {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOSPC' || code === 'EDQUOT';
};

export interface PreparerOwner {
  /** Called after each slice: an append may have been waiting for it. */
  onPrepared(): void;
  /** Called once for an error that is not a full disk. */
  onError(error: Error): void;
  /** Whether there is no time for pauses. */
  isUrgent(): boolean;
}

/**
 * Fills segments with zeros ahead of the writer, slice by slice in the background: the current one to its end
 * first, then the next. A full disk is not an error here: it is tried again until space is found.
 */
export class SegmentPreparer {
  readonly #directory: string;
  readonly #owner: PreparerOwner;
  #targets: SegmentFile[] = [];
  #running: Promise<void> | undefined;
  #wake: (() => void) | undefined;
  #stopped = false;
  #isDiskFull = false;
  #created = 0;
  #spare: string | undefined;

  constructor(directory: string, owner: PreparerOwner) {
    this.#directory = directory;
    this.#owner = owner;
  }

  /** Whether the last try found no space. */
  get isDiskFull(): boolean {
    return this.#isDiskFull;
  }

  /** Begins a segment under a temporary name, in the place of a spare one if there is one. */
  begin(size: number): SegmentFile | undefined {
    const path = join(this.#directory, `${this.#created}.tmp`);
    try {
      if (this.#spare !== undefined) renameSync(this.#spare, path);
      const segment = SegmentFile.create(path, size, this.#spare !== undefined);
      this.#spare = undefined;
      this.#created++;
      this.prepare(segment);
      return segment;
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      this.#isDiskFull = true;
      return undefined;
    }
  }

  prepare(segment: SegmentFile): void {
    if (!this.#targets.includes(segment)) this.#targets.push(segment);
    if (this.#running !== undefined || this.#stopped) return;
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  /** Prepares a segment that is waited for; cuts a pause short. */
  hurry(segment: SegmentFile): void {
    this.prepare(segment);
    this.#wake?.();
  }

  /** Takes a segment that is no longer needed; its blocks serve a later one, or go back to the disk. */
  recycle(path: string): void {
    if (this.#spare === undefined) {
      const spare = join(this.#directory, `spare-${this.#created}.tmp`);
      renameSync(path, spare);
      this.#spare = spare;
    } else {
      rmSync(path, { force: true });
    }
  }

  /** Stops after the slice under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#wake?.();
    await this.#running;
  }

  async #run(): Promise<void> {
    for (let target = this.#targets[0]; target !== undefined && !this.#stopped; target = this.#targets[0]) {
      try {
        if (!target.isReady) await target.prepareSlice();
        this.#isDiskFull = false;
        this.#owner.onPrepared();
        if (target.ready >= target.size) this.#targets.shift();
        else if (!this.#owner.isUrgent()) await this.#pause(pauseMs);
      } catch (error) {
        if (!isDiskFull(error)) {
          this.#owner.onError(error instanceof Error ? error : new Error(String(error)));
          return;
        }
        this.#isDiskFull = true;
        await this.#pause(retryMs);
      }
    }
  }

  #pause(ms: number): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
