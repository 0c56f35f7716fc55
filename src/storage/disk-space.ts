import { statfs } from 'node:fs/promises';
import type { SpaceGauge } from '../ports/space.ts';

const pollMs = 200;
const mebibyte = 1 << 20;

/**
 * Bytes that are left alone on a disk of this capacity: what RocksDB takes to flush all its memory, beside its
 * own log of the same rows, and to merge files meanwhile. A write it fails stops it, so writes are refused before.
 */
export function reserveFor(capacity: number): number {
  const usual = Math.min(256 * mebibyte, Math.max(48 * mebibyte, Math.floor(capacity / 16)));
  return Math.min(usual, Math.floor(capacity / 2));
}

/**
 * Bytes of the file system that `directory` lies on. One that can't tell, or reports zeros as some network and FUSE file
 * systems do, is taken to have room: the disk itself then says when it has none. Its capacity is 0.
 */
export async function spaceOf(directory: string): Promise<{ capacity: number; free: number }> {
  try {
    const { blocks, bavail, bsize } = await statfs(directory);
    if (blocks * bsize > 0) return { capacity: blocks * bsize, free: bavail * bsize };
  } catch {
    // As one that reports zeros.
  }
  return { capacity: 0, free: Number.MAX_SAFE_INTEGER };
}

/** Watches the free space of the disk a directory lies on. */
export class DiskSpace implements SpaceGauge {
  readonly #directory: string;
  #capacity = 0;
  #free = 0;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** Takes a first look and goes on looking every 200 ms until `stop`. */
  static async watch(directory: string): Promise<DiskSpace> {
    const space = new DiskSpace(directory);
    await space.#look();
    return space;
  }

  /** Bytes of the whole disk; 0 where that is unknown. */
  get capacity(): number {
    return this.#capacity;
  }

  /** Bytes an unprivileged process can still take, as of the last look and what was reported since. */
  get free(): number {
    return this.#free;
  }

  /** Whether there is room for the store to grow. False means that writes should be refused for now. */
  get hasRoom(): boolean {
    return this.#free > reserveFor(this.#capacity);
  }

  /** Counts bytes written since the last look as taken, so that a burst between two looks is not overlooked. */
  took(bytes: number): void {
    this.#free -= bytes;
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  async #look(): Promise<void> {
    const { capacity, free } = await spaceOf(this.#directory);
    this.#capacity = capacity;
    this.#free = free;
    if (this.#stopped) return;
    this.#timer = setTimeout(() => void this.#look(), pollMs);
    this.#timer.unref();
  }
}
