export type DiskDone = (error: NodeJS.ErrnoException | null) => void;

/** A file open for writing. A write is on disk once it calls back. */
export interface WritableFile {
  /** Writes all of `bytes`; calls back once. */
  write(bytes: Buffer, position: number, done: DiskDone): void;
  /** The same at once, for before anybody waits. Throws what `write` calls back with. */
  writeNow(bytes: Buffer, position: number): void;
  /** Makes durable what an earlier process may have written last. */
  syncNow(): void;
  close(): void;
}

export interface ReadableFile {
  readonly size: number;
  /** Fills `into` with the file's bytes from `position` on. @returns how many there were */
  read(into: Buffer, position: number): number;
  close(): void;
}

export interface OpenDirectory {
  /** Makes the names in it durable. */
  sync(done: DiskDone): void;
  close(): void;
}

/**
 * What the write-ahead log needs of a file system; the simulator has one of its own, which tears writes, loses what is
 * not synced and fails. A name is durable once its directory is synced, and only then. Errors carry Node's codes.
 * Methods without a callback work at once and are for the start, but for `create`, which allocates nothing.
 */
export interface LogDisk {
  /** Names in a directory; none when it does not exist. */
  list(directory: string): string[];
  openToRead(path: string): ReadableFile;
  /** Makes a file that must not exist yet. */
  create(path: string): WritableFile;
  openToWrite(path: string): WritableFile;
  openDirectory(path: string): OpenDirectory;
  /** Size of a file, and whether parts of it have no blocks on the disk. */
  space(path: string): { readonly size: number; readonly hasHoles: boolean };
  makeDirectory(path: string): void;
  /** Removes a file or a directory with all in it, if there is one. */
  removeNow(path: string): void;
  renameNow(from: string, to: string): void;
  syncDirectoryNow(path: string): void;
  rename(from: string, to: string, done: DiskDone): void;
  remove(path: string, done: DiskDone): void;
  /** Runs `task` at the end of this turn of the event loop. */
  endOfTurn(task: () => void): void;
  /** Runs `task` in `delayMs`. The function returned takes it back. Keeps no process alive. */
  after(delayMs: number, task: () => void): () => void;
}
