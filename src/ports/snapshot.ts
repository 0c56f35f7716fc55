import type { ConfState } from '../wire/gen/raftpb.ts';

/** The store at one instant as a file in the format of etcd's database, read chunk by chunk. Must be closed. */
export interface SnapshotExport {
  /** Bytes of the whole file. */
  readonly totalBytes: number;
  /** Index and term of the last applied entry in the file, and raft's configuration at that index. */
  readonly index: number;
  readonly term: number;
  readonly confState: ConfState;
  /** Version of etcd's storage schema in the file, such as `3.7.0`. */
  readonly storageVersion: string;
  /** SHA-256 of the whole file; undefined until the last chunk is read. */
  readonly sha256: Buffer | undefined;
  /**
   * The next chunk, of about 256 KiB; undefined after the last one. Only a few chunks are prepared in advance, so a
   * slow reader does not increase memory. Rejects if the store can't be read.
   */
  read(): Promise<Buffer | undefined>;
  /** Reads all chunks. Closes the export, also if the reader stops early. */
  chunks(): AsyncIterable<Buffer>;
  /** Idempotent. */
  close(): Promise<void>;
}

/** An export that can be read again from any offset until it is closed. */
export interface ResumableExport extends SnapshotExport {
  /** Whether it is open for reading. */
  readonly isOpen: boolean;
  /** The chunks from an offset of the file. Ends an earlier read. Does not close the export. */
  from(offset: number): AsyncIterable<Buffer>;
}

/** Starts an export of the store, as of now or a moment later. Resolves when its size is known. */
export type ExportSnapshot = () => Promise<ResumableExport>;
