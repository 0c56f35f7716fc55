import { readFileSync, statfs as statfsOf } from 'node:fs';
import { promisify } from 'node:util';
import type { SpaceGauge } from '../ports/space.ts';

// The promises of `node:fs` take three milliseconds to load at a start.
const statfs = promisify(statfsOf);

const POLL_MS = 200;
/** While the free space is less than so many reserves. Other programs may fill the disk too. */
const NEAR_RESERVES = 4;
const NEAR_POLL_MS = 50;
const MEBIBYTE = 1 << 20;
/** A byte of the log is written to RocksDB's own log too, and to a table when RocksDB flushes its memory. */
const COPIES = 3;

/**
 * Bytes that must stay free on a disk of this capacity, besides those for what RocksDB will flush. RocksDB merges files,
 * and both logs reserve space ahead. A failed write would stop RocksDB, so writes are refused before.
 */
export function reserveFor(capacity: number): number {
  const usual = Math.min(128 * MEBIBYTE, Math.max(48 * MEBIBYTE, Math.floor(capacity / 32)));
  return Math.min(usual, Math.floor(capacity / 2));
}

let mayUseReservedBlocks: boolean | undefined;

/**
 * Whether this process may use the blocks that a file system such as ext4 keeps for root, usually 5 %. They are kept so
 * that servers go on when other users have filled the disk, and etcd uses them too. Root of a user namespace may not.
 */
function usesReservedBlocks(): boolean {
  return (mayUseReservedBlocks ??= process.geteuid?.() === 0 && isRootOfTheMachine());
}

function isRootOfTheMachine(): boolean {
  try {
    return isFirstUserNamespace(readFileSync('/proc/self/uid_map', 'utf8'));
  } catch {
    return false;
  }
}

/** @param uidMap contents of `/proc/self/uid_map`; see user_namespaces(7) */
export function isFirstUserNamespace(uidMap: string): boolean {
  return /^\s*0\s+0\s+4294967295\s*$/.test(uidMap);
}

/**
 * Bytes of the file system of `directory`, and those that are free for this process. A file system that can't report
 * them, or reports zeros as some network and FUSE file systems do, counts as not full and has capacity 0. A write then
 * fails when it is full.
 */
export async function spaceOf(directory: string): Promise<{ capacity: number; free: number }> {
  try {
    const { blocks, bavail, bfree, bsize } = await statfs(directory);
    const free = usesReservedBlocks() ? bfree : bavail;
    if (blocks * bsize > 0) return { capacity: blocks * bsize, free: free * bsize };
  } catch {
    // As one that reports zeros.
  }
  return { capacity: 0, free: Number.MAX_SAFE_INTEGER };
}

/** Watches the free space of the disk of a directory. */
export class DiskSpace implements SpaceGauge {
  readonly #read: () => Promise<{ capacity: number; free: number }>;
  #unflushed: () => number = () => 0;
  #capacity = 0;
  #free = 0;
  /** Bytes that `logged` has subtracted in all. */
  #subtracted = 0;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  private constructor(read: () => Promise<{ capacity: number; free: number }>) {
    this.#read = read;
  }

  /** Reads the free space now, and several times a second until `stop`. */
  static async watch(
    directory: string,
    read = (): ReturnType<typeof spaceOf> => spaceOf(directory),
  ): Promise<DiskSpace> {
    const space = new DiskSpace(read);
    await space.#look();
    return space;
  }

  /** Bytes of the whole disk; 0 if unknown. */
  get capacity(): number {
    return this.#capacity;
  }

  /**
   * Bytes that this process can still use, without those that the store will write without being asked. `logged` counts
   * the writes since they were read.
   */
  get free(): number {
    return this.#free;
  }

  /** Whether there is space for the store to grow. False means that writes should be refused for now. */
  get hasRoom(): boolean {
    return this.#free > reserveFor(this.#capacity);
  }

  /** @param unflushed reads how many bytes the store has in memory and will write to its files */
  expectFlushes(unflushed: () => number): void {
    this.#unflushed = unflushed;
  }

  /** So many bytes were written to the log: subtracts all that they take, so that a burst between two reads is seen. */
  logged(bytes: number): void {
    this.#subtracted += COPIES * bytes;
    this.#free -= COPIES * bytes;
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  async #look(): Promise<void> {
    const subtractedBefore = this.#subtracted;
    const { capacity, free } = await this.#read();
    this.#capacity = capacity;
    // What was written meanwhile may be missing in the number.
    this.#free = free - this.#unflushed() - (this.#subtracted - subtractedBefore);
    if (this.#stopped) return;
    const isNear = this.#free < NEAR_RESERVES * reserveFor(capacity);
    this.#timer = setTimeout(() => void this.#look(), isNear ? NEAR_POLL_MS : POLL_MS);
    this.#timer.unref();
  }
}
