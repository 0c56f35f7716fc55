import type { ConfState } from '../wire/gen/raftpb.ts';

/** The store at one instant as a file in the format of etcd's database, read chunk by chunk. Must be closed. */
export interface SnapshotExport {
  /** Bytes of the whole file. */
  readonly totalBytes: number;
  /** The last entry that the file has applied, and raft's configuration as of it. */
  readonly index: number;
  readonly term: number;
  readonly confState: ConfState;
  /** Version of etcd's schema that the file has, such as `3.7.0`. */
  readonly storageVersion: string;
  /** Checksum of the whole file; undefined until its last chunk was read. */
  readonly sha256: Buffer | undefined;
  /**
   * The next chunk, about a quarter of a mebibyte; undefined after the last one. Chunks are made a little ahead of
   * being read, so memory stays bounded however slow the reader is. Rejects when the store can't be read.
   */
  read(): Promise<Buffer | undefined>;
  /** Reads all chunks, and closes the export also when the reader stops early. */
  chunks(): AsyncIterable<Buffer>;
  /** Idempotent. */
  close(): Promise<void>;
}

/** An export that can be read again, from any place on, until it is closed. */
export interface ResumableExport extends SnapshotExport {
  /** Whether it can still be read. */
  readonly isOpen: boolean;
  /** The chunks from a place of the file on; ends the reading before it, and closes nothing. */
  from(offset: number): AsyncIterable<Buffer>;
}

/** Begins an export of the store as of now or a little later; resolves once its size is known. */
export type ExportSnapshot = () => Promise<ResumableExport>;
