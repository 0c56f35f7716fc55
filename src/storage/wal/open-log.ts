import { basename, dirname, join } from 'node:path';
import { assert } from '../../lib/assert.ts';
import type { LogDisk } from '../../ports/log-disk.ts';
import type { LogContents, LogSnapshot } from '../../ports/log-store.ts';
import { HardState } from '../../wire/gen/raftpb.ts';
import { Snapshot } from '../../wire/gen/walpb.ts';
import { CorruptLogError } from './corrupt-log-error.ts';
import { FileLog, type FileLogOptions } from './file-log.ts';
import { zeros } from './file-window.ts';
import { emptyConfState, type LogScan, scanLog } from './log-scan.ts';
import { nodeDisk } from './node-disk.ts';
import { RecordType } from './record.ts';
import { RecordEncoder } from './record-encoder.ts';
import { DEFAULT_SLICE_BYTES, SegmentFile } from './segment-file.ts';
import type { SegmentScan } from './segment-scan.ts';
import { listSegments, type SegmentName, segmentName } from './segment-name.ts';
import { TermRuns } from './term-runs.ts';

export const logExists = (directory: string, disk?: LogDisk): boolean =>
  listSegments(directory, disk).length > 0;

/**
 * Creates a new log whose first record is `metadata`. It has a temporary name until it is complete on disk.
 *
 * @param snapshot the start of the log: the zero snapshot record, unless the member starts from a snapshot
 */
export function createLog(
  options: FileLogOptions,
  metadata: Buffer,
  snapshot: LogSnapshot = { index: 0, term: 0, confState: emptyConfState },
): { log: FileLog; contents: LogContents } {
  const { directory, segmentBytes, sliceBytes = DEFAULT_SLICE_BYTES, disk = nodeDisk } = options;
  assert(!logExists(directory, disk), 'a log is created once');
  const temporary = `${directory}.tmp`;
  disk.removeNow(temporary);
  disk.makeDirectory(temporary);
  const name = segmentName(0, snapshot.index === 0 ? 0 : snapshot.index + 1);
  const tail = SegmentFile.create(disk, join(temporary, name.name), segmentBytes);
  const encoder = new RecordEncoder(0);
  encoder.chain();
  encoder.message(RecordType.metadata, metadata);
  // etcd omits the membership in the first snapshot record.
  encoder.message(
    RecordType.snapshot,
    Snapshot.encode(snapshot.index === 0 ? Snapshot.create() : Snapshot.create(snapshot)),
  );
  tail.prepareNow(Math.max(Math.min(sliceBytes, segmentBytes), encoder.length));
  tail.writeNow(encoder.buffer.subarray(0, encoder.length), 0);
  disk.syncDirectoryNow(temporary);
  disk.removeNow(directory);
  disk.renameNow(temporary, directory);
  disk.syncDirectoryNow(dirname(directory));
  tail.path = join(directory, name.name);
  const hardState = HardState.create();
  const terms = new TermRuns();
  terms.settle(snapshot.index, snapshot.term);
  const log = new FileLog(options, {
    metadata,
    hardState,
    segments: [name],
    terms,
    snapshotIndex: snapshot.index,
    crc: encoder.crc,
    tail,
    tailOffset: encoder.length,
    unreleasedBytes: 0,
  });
  return { log, contents: { metadata, hardState, snapshot, earlier: [], entries: [], repaired: undefined } };
}

/** A log as `readLog` found it. */
export interface ReadLog {
  readonly names: SegmentName[];
  readonly scan: LogScan;
}

/**
 * Reads and checks an existing log, and changes nothing.
 *
 * @throws CorruptLogError with file and offset if it is damaged other than by a torn write
 */
export function readLog({ directory, disk = nodeDisk }: Pick<FileLogOptions, 'directory' | 'disk'>): ReadLog {
  const names = listSegments(directory, disk);
  return { names, scan: scanLog(directory, names, { keepsEntries: true, disk }) };
}

/**
 * Opens an existing log: checks all of it, cuts off a torn write, and reads the state that raft restarts from.
 *
 * @param found what `readLog` returned, if nobody has written to the log since
 * @throws CorruptLogError with file and offset if it is damaged otherwise; nothing is changed then
 */
export function openLog(
  options: FileLogOptions,
  found = readLog(options),
): { log: FileLog; contents: LogContents } {
  const { directory, disk = nodeDisk } = options;
  const { names, scan } = found;
  const { metadata, hardState, snapshot, earlier, entries, unreleasedBytes, terms, end } = scan;
  const lastName = names.at(-1);
  if (lastName === undefined || metadata === undefined) {
    throw new CorruptLogError(lastName?.name ?? directory, 0, 'there is no metadata record');
  }
  if (snapshot === undefined) throw new CorruptLogError(lastName.name, 0, 'there is no snapshot record');
  const repaired = repairTail(disk, join(directory, lastName.name), end);
  for (const name of disk.list(directory)) if (name.endsWith('.tmp')) disk.removeNow(join(directory, name));
  // The name of the last segment may not be durable yet after a crash.
  disk.syncDirectoryNow(directory);
  if (terms.isEmpty) terms.settle(snapshot.index, snapshot.term);
  const log = new FileLog(options, {
    metadata,
    hardState,
    segments: names,
    terms,
    snapshotIndex: snapshot.index,
    crc: end.crc,
    tail: reopenTail(disk, join(directory, lastName.name), {
      segmentBytes: options.segmentBytes,
      end: end.end,
    }),
    tailOffset: end.end,
    unreleasedBytes,
  });
  return { log, contents: { metadata, hardState, snapshot, earlier, entries, repaired } };
}

/** Overwrites a torn write with zeros, so that its remains can't follow a later record. */
function repairTail(disk: LogDisk, path: string, { end, nonZeroEnd }: SegmentScan): LogContents['repaired'] {
  if (nonZeroEnd === end) return undefined;
  const file = disk.openToWrite(path);
  try {
    for (let at = end; at < nonZeroEnd; at += zeros.length)
      file.writeNow(zeros.subarray(0, Math.min(zeros.length, nonZeroEnd - at)), at);
  } finally {
    file.close();
  }
  return { file: basename(path), offset: end, bytes: nonZeroEnd - end };
}

/**
 * After the last record the file is zero up to its size. Space that is allocated and never written, as etcd leaves it,
 * can be used too, and only syncs more slowly. Holes are prepared again.
 */
function reopenTail(
  disk: LogDisk,
  path: string,
  { segmentBytes, end }: { segmentBytes: number; end: number },
): SegmentFile {
  const { size, hasHoles } = disk.space(path);
  return SegmentFile.reopen(disk, { path, size: Math.max(segmentBytes, size), ready: hasHoles ? end : size });
}
