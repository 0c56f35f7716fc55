export type DiskDone = (error: NodeJS.ErrnoException | null) => void;

/** A file open for writing. A write is on disk once it calls back. */
export interface WritableFile {
  /** Writes all of `bytes`; calls back once. */
  write(bytes: Buffer, position: number, done: DiskDone): void;
  /** The same, synchronously. Throws the error that `write` would call back with. */
  writeNow(bytes: Buffer, position: number): void;
  /** Makes the last writes of an earlier process durable. */
  syncNow(): void;
  close(): void;
}

export interface ReadableFile {
  readonly size: number;
  /** Fills `into` with the file's bytes from `position` on. @returns the number of bytes read */
  read(into: Buffer, position: number): number;
  close(): void;
}

export interface OpenDirectory {
  /** Makes the names in the directory durable. */
  sync(done: DiskDone): void;
  close(): void;
}

/** What the event loop's thread has done since its start, in milliseconds that only increase. */
export interface ThreadTimes {
  /** Monotonic time. */
  now(): number;
  /** Time in which the event loop had nothing to do and waited for input. */
  waitedForInput(): number;
  /** Time in which the thread was ready to run, but had no processor. 0 where that is unknown. */
  waitedForProcessor(): number;
}

/**
 * What the write-ahead log needs of a file system. The simulator has its own, which tears writes, loses unsynced data
 * and fails. A name is durable only when its directory is synced. Errors have Node's codes. Methods without a callback
 * are synchronous and only for the start, except `create`, which allocates nothing, and `writeNow`.
 */
export interface LogDisk {
  readonly times: ThreadTimes;
  /** Names in a directory; none when it does not exist. */
  list(directory: string): string[];
  openToRead(path: string): ReadableFile;
  /** Creates a file that must not exist yet. */
  create(path: string): WritableFile;
  openToWrite(path: string): WritableFile;
  openDirectory(path: string): OpenDirectory;
  /** Size of a file, and whether it has holes, parts without blocks on the disk. */
  space(path: string): { readonly size: number; readonly hasHoles: boolean };
  makeDirectory(path: string): void;
  /** Removes a file, or a directory with its contents, if it exists. */
  removeNow(path: string): void;
  renameNow(from: string, to: string): void;
  syncDirectoryNow(path: string): void;
  rename(from: string, to: string, done: DiskDone): void;
  remove(path: string, done: DiskDone): void;
  /** Runs `task` at the end of this turn of the event loop. */
  endOfTurn(task: () => void): void;
  /** Runs `task` when input that has arrived is handled, after other tasks that wait for that. */
  afterInput(task: () => void): void;
  /** Runs `task` after `delayMs`. The returned function cancels it. The timer does not keep the process alive. */
  after(delayMs: number, task: () => void): () => void;
}
