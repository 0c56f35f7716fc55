import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { stageAppliedState } from '../apply/applied-state.ts';
import { BoltFormatError } from '../bbolt/errors.ts';
import { BoltReader } from '../bbolt/reader.ts';
import type { Engine } from '../ports/engine.ts';
import type { ConfState } from '../wire/gen/raftpb.ts';
import { FileSource } from './file-source.ts';
import { importBackend, type ImportedState } from './import-backend.ts';

const CHECKSUM_BYTES = 32;
/** A database file is a whole number of sectors. A file that is longer by the size of a checksum ends with one. */
const SECTOR_BYTES = 512;
const READ_BYTES = 1 << 20;

/**
 * Whether a saved snapshot ends with the SHA-256 of its contents. Files of `etcdctl snapshot save` do, files of a
 * data directory do not.
 *
 * @throws BoltFormatError if the checksum is wrong
 */
export function verifyChecksum(path: string): boolean {
  const file = openSync(path, 'r');
  try {
    const { size } = fstatSync(file);
    if (size % SECTOR_BYTES !== CHECKSUM_BYTES) return false;
    const hash = createHash('sha256');
    const buffer = Buffer.allocUnsafe(READ_BYTES);
    for (let at = 0; at < size - CHECKSUM_BYTES;) {
      const count = readSync(file, buffer, 0, Math.min(READ_BYTES, size - CHECKSUM_BYTES - at), at);
      if (count === 0) throw new BoltFormatError(`${path} ended while it was read`);
      hash.update(buffer.subarray(0, count));
      at += count;
    }
    readSync(file, buffer, 0, CHECKSUM_BYTES, size - CHECKSUM_BYTES);
    if (!hash.digest().equals(buffer.subarray(0, CHECKSUM_BYTES)))
      throw new BoltFormatError(`${path} does not have the SHA-256 that stands at its end`);
    return true;
  } finally {
    closeSync(file);
  }
}

export interface ImportFileOptions {
  /** A file of etcd's database, with or without a checksum at its end. */
  readonly file: string;
  /** An empty engine. */
  readonly engine: Engine;
  /** Ignores a checksum at the end of the file. */
  readonly skipChecksum?: boolean;
  /** The raft state for files that do not have it, as those of etcd before 3.5. */
  readonly fallback?: { readonly term: number; readonly confState: ConfState } | undefined;
  readonly onProgress?: (events: number) => void;
}

/** Imports a file into an engine synchronously. For worker threads and tools. See `importBackend`. */
export function importFile(options: ImportFileOptions): ImportedState {
  const { file, engine, fallback, onProgress } = options;
  if (options.skipChecksum !== true) verifyChecksum(file);
  const source = new FileSource(file);
  try {
    const state = importBackend(BoltReader.open(source), engine, onProgress);
    if (state.confState !== undefined || fallback === undefined) return state;
    const batch = engine.batch();
    const filled = { ...state, ...fallback };
    stageAppliedState(batch, { index: state.index, ...fallback });
    engine.write(batch);
    return filled;
  } finally {
    source.close();
  }
}
