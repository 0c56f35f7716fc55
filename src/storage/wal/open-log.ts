import {
  closeSync,
  fdatasyncSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { assert } from '../../lib/assert.ts';
import type { LogContents, LogSnapshotMark } from '../../ports/log-store.ts';
import { HardState } from '../../wire/gen/raftpb.ts';
import { Snapshot } from '../../wire/gen/walpb.ts';
import { CorruptLogError } from './corrupt-log-error.ts';
import { FileLog, type FileLogOptions } from './file-log.ts';
import { zeros } from './file-window.ts';
import { emptyConfState, scanLog } from './log-scan.ts';
import { RecordType } from './record.ts';
import { RecordEncoder } from './record-encoder.ts';
import { SegmentFile } from './segment-file.ts';
import type { SegmentScan } from './segment-scan.ts';
import { listSegments, segmentName, type SegmentName } from './segment-name.ts';
import { TermRuns } from './term-runs.ts';

export const logExists = (directory: string): boolean => listSegments(directory).length > 0;

function syncDirectory(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/**
 * Makes a new log whose first record is `metadata`, under a temporary name until it is whole on disk.
 *
 * @param mark where the log begins: the zero mark, unless the member starts from a snapshot
 */
export async function createLog(
  options: FileLogOptions,
  metadata: Buffer,
  mark: LogSnapshotMark = { index: 0, term: 0, confState: emptyConfState },
): Promise<{ log: FileLog; contents: LogContents }> {
  const { directory, segmentBytes } = options;
  assert(!logExists(directory), 'a log is created once');
  const temporary = `${directory}.tmp`;
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary, { recursive: true, mode: 0o700 });
  const name = segmentName(0, mark.index === 0 ? 0 : mark.index + 1);
  const tail = SegmentFile.create(join(temporary, name.name), segmentBytes);
  const encoder = new RecordEncoder(0);
  encoder.chain();
  encoder.message(RecordType.metadata, metadata);
  // etcd leaves the membership out of the first mark.
  encoder.message(
    RecordType.snapshot,
    Snapshot.encode(mark.index === 0 ? Snapshot.create() : Snapshot.create(mark)),
  );
  await tail.prepareSlice();
  writeSync(tail.file, encoder.buffer, 0, encoder.length, 0);
  syncDirectory(temporary);
  rmSync(directory, { recursive: true, force: true });
  renameSync(temporary, directory);
  syncDirectory(dirname(directory));
  tail.path = join(directory, name.name);
  const hardState = HardState.create();
  const terms = new TermRuns();
  terms.settle(mark.index, mark.term);
  const log = new FileLog(options, {
    metadata,
    hardState,
    segments: [name],
    terms,
    markIndex: mark.index,
    crc: encoder.crc,
    tail,
    tailOffset: encoder.length,
  });
  return { log, contents: { metadata, hardState, mark, entries: [], repaired: undefined } };
}

/**
 * Opens an existing log: checks all of it, cuts off a write that a crash left half done, and reads what raft
 * restarts from.
 *
 * @throws CorruptLogError naming file and offset when it is damaged anywhere else; nothing is changed then
 */
export function openLog(options: FileLogOptions): { log: FileLog; contents: LogContents } {
  const { directory } = options;
  const names = listSegments(directory);
  const scan = scanLog(directory, names, { keepsEntries: true });
  const { metadata, hardState, mark, entries, terms, end } = scan;
  const lastName = names.at(-1);
  if (lastName === undefined || metadata === undefined) {
    throw new CorruptLogError(lastName?.name ?? directory, 0, 'there is no metadata record');
  }
  if (mark === undefined) throw new CorruptLogError(lastName.name, 0, 'there is no snapshot record');
  const repaired = repairTail(directory, lastName, end);
  removeLeftovers(directory);
  if (terms.isEmpty) terms.settle(mark.index, mark.term);
  const log = new FileLog(options, {
    ...{ metadata, hardState, segments: names, terms, markIndex: mark.index, crc: end.crc },
    tail: reopenTail(options, lastName, end.end),
    tailOffset: end.end,
  });
  return { log, contents: { metadata, hardState, mark, entries, repaired } };
}

/** Writes zeros over what a torn write left, so that no later record chains up with it. */
function repairTail(directory: string, { name }: SegmentName, end: SegmentScan): LogContents['repaired'] {
  if (end.nonZeroEnd === end.end) return undefined;
  const file = openSync(join(directory, name), 'r+');
  try {
    for (let at = end.end; at < end.nonZeroEnd;) {
      at += writeSync(file, zeros, 0, Math.min(zeros.length, end.nonZeroEnd - at), at);
    }
    fdatasyncSync(file);
  } finally {
    closeSync(file);
  }
  return { file: name, offset: end.end, bytes: end.nonZeroEnd - end.end };
}

function removeLeftovers(directory: string): void {
  for (const name of readdirSync(directory)) {
    if (name.endsWith('.tmp')) rmSync(join(directory, name), { force: true });
  }
}

/**
 * Behind the last record the file is zero up to its size. Space set aside but never written, as etcd leaves it,
 * serves as well and only syncs more slowly; holes are prepared anew.
 */
function reopenTail(
  { directory, segmentBytes }: FileLogOptions,
  { name }: SegmentName,
  end: number,
): SegmentFile {
  const path = join(directory, name);
  const { size, blocks } = statSync(path);
  const hasHoles = blocks * 512 < size;
  return SegmentFile.reopen(path, Math.max(segmentBytes, size), hasHoles ? end : size);
}
