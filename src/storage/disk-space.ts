import { statfs as statfsOf } from 'node:fs';
import { promisify } from 'node:util';
import type { SpaceGauge } from '../ports/space.ts';

// The promises of `node:fs` take three milliseconds to load at a start.
const statfs = promisify(statfsOf);

const POLL_MS = 200;
const MEBIBYTE = 1 << 20;

/**
 * Bytes that must stay free on a disk of this capacity. RocksDB needs them to flush all its memory, for its own log of
 * the same rows, and to merge files meanwhile. A failed write would stop RocksDB, so writes are refused before.
 */
export function reserveFor(capacity: number): number {
  const usual = Math.min(256 * MEBIBYTE, Math.max(48 * MEBIBYTE, Math.floor(capacity / 16)));
  return Math.min(usual, Math.floor(capacity / 2));
}

/**
 * Bytes of the file system of `directory`. A file system that can't report them, or reports zeros as some network and
 * FUSE file systems do, counts as not full and has capacity 0. A write then fails when it is full.
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

/** Watches the free space of the disk of a directory. */
export class DiskSpace implements SpaceGauge {
  readonly #directory: string;
  #capacity = 0;
  #free = 0;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** Reads the free space now, and every 200 ms until `stop`. */
  static async watch(directory: string): Promise<DiskSpace> {
    const space = new DiskSpace(directory);
    await space.#look();
    return space;
  }

  /** Bytes of the whole disk; 0 if unknown. */
  get capacity(): number {
    return this.#capacity;
  }

  /** Bytes that an unprivileged process can still use: as last read, minus the bytes reported by `took` since. */
  get free(): number {
    return this.#free;
  }

  /** Whether there is space for the store to grow. False means that writes should be refused for now. */
  get hasRoom(): boolean {
    return this.#free > reserveFor(this.#capacity);
  }

  /** Subtracts written bytes from the free space, so that a burst between two reads is not missed. */
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
    this.#timer = setTimeout(() => void this.#look(), POLL_MS);
    this.#timer.unref();
  }
}
