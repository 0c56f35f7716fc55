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
import { EntryPlaces } from './entry-places.ts';
import { FileLog, type FileLogOptions } from './file-log.ts';
import { zeros } from './file-window.ts';
import { emptyConfState, scanLog, type LogScan } from './log-scan.ts';
import { readEntries } from './read-entries.ts';
import { RecordType } from './record.ts';
import { RecordEncoder } from './record-encoder.ts';
import { SegmentFile } from './segment-file.ts';
import { listSegments, segmentName, type SegmentName } from './segment-name.ts';

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
  const tail = SegmentFile.create(join(temporary, name.name), segmentBytes, false);
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
  rmSync(directory, { recursive: true, force: true });
  renameSync(temporary, directory);
  syncDirectory(directory);
  syncDirectory(dirname(directory));
  tail.path = join(directory, name.name);
  const hardState = HardState.create();
  const log = new FileLog(options, {
    metadata,
    hardState,
    segments: [{ ...name, firstEntry: undefined }],
    places: new EntryPlaces(),
    lastIndex: mark.index,
    crc: encoder.crc,
    tail,
    tailOffset: encoder.length,
    settled: { segment: 0, offset: 0 },
  });
  return { log, contents: { metadata, hardState, mark, entries: [], repaired: undefined } };
}

/**
 * Opens an existing log: checks all of it, cuts off a write that a crash left half done, and reads what raft
 * restarts from.
 *
 * @throws CorruptLogError naming file and offset when it is damaged anywhere else; nothing is changed then
 */
export async function openLog(options: FileLogOptions): Promise<{ log: FileLog; contents: LogContents }> {
  const { directory } = options;
  const names = listSegments(directory);
  const scan = scanLog(directory, names);
  const lastName = names.at(-1);
  if (lastName === undefined || scan.metadata === undefined) {
    throw new CorruptLogError(lastName?.name ?? directory, 0, 'there is no metadata record');
  }
  const mark = newestMark(scan, lastName);
  const repaired = repairTail(directory, lastName, scan);
  removeLeftovers(directory);
  const end = { segment: lastName.sequence, offset: scan.end.end };
  const place = scan.places.before(mark.index + 1);
  const entries =
    place === undefined || scan.lastIndex <= mark.index
      ? []
      : await readEntries({
          directory,
          segments: names,
          place,
          end,
          settled: end,
          from: mark.index + 1,
          to: scan.lastIndex + 1,
          maxBytes: Infinity,
        });
  const tail = reopenTail(options, lastName, scan.end.end);
  const log = new FileLog(options, {
    metadata: scan.metadata,
    hardState: scan.hardState,
    segments: scan.segments.map((segment) => ({ ...segment })),
    places: scan.places,
    lastIndex: Math.max(scan.lastIndex, mark.index),
    crc: scan.end.crc,
    tail,
    tailOffset: scan.end.end,
    settled: end,
  });
  return { log, contents: { metadata: scan.metadata, hardState: scan.hardState, mark, entries, repaired } };
}

/** A mark is recorded after its index is committed, but its commit may have been written lazily. */
function newestMark(scan: LogScan, lastName: SegmentName): LogSnapshotMark {
  const mark = scan.marks.at(-1);
  if (mark === undefined) throw new CorruptLogError(lastName.name, 0, 'there is no snapshot record');
  return mark;
}

/** Writes zeros over what a torn write left, so that no later record chains up with it. */
function repairTail(directory: string, { name }: SegmentName, { end }: LogScan): LogContents['repaired'] {
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
