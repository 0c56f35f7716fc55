import { join } from 'node:path';
import type { LogSnapshotMark } from '../../ports/log-store.ts';
import { Entry, HardState, type ConfState } from '../../wire/gen/raftpb.ts';
import { Snapshot } from '../../wire/gen/walpb.ts';
import { CorruptLogError } from './corrupt-log-error.ts';
import { EntryPlaces } from './entry-places.ts';
import { FileWindow } from './file-window.ts';
import { RecordType } from './record.ts';
import { RecordOrder } from './record-order.ts';
import { scanSegment, type SegmentScan } from './segment-scan.ts';
import type { SegmentName } from './segment-name.ts';

export interface ScannedSegment extends SegmentName {
  /** Index of the first entry in it; undefined when it holds none. */
  readonly firstEntry: number | undefined;
}

export interface LogScan {
  readonly segments: ScannedSegment[];
  readonly metadata: Buffer | undefined;
  readonly hardState: HardState;
  /** All recorded, in order. */
  readonly marks: LogSnapshotMark[];
  /** Of the newest entry; 0 when there is none. */
  readonly lastIndex: number;
  readonly places: EntryPlaces;
  /** How the last segment ends. */
  readonly end: SegmentScan;
}

export type EntryVisitor = (entry: Entry, segment: SegmentName, offset: number) => void;

export const emptyConfState: ConfState = {
  voters: [],
  learners: [],
  votersOutgoing: [],
  learnersNext: [],
  autoLeave: false,
};

function decodeMark(data: Buffer): LogSnapshotMark {
  const { index, term, confState } = Snapshot.decode(Buffer.from(data));
  return { index, term, confState: confState ?? emptyConfState };
}

/** Gathers what the records of a log say, and holds them against raft's rules. */
class LogReader {
  readonly places = new EntryPlaces();
  readonly marks: LogSnapshotMark[] = [];
  readonly order = new RecordOrder();
  metadata: Buffer | undefined;
  hardState = HardState.create();
  firstEntry: number | undefined;
  readonly #onEntry: EntryVisitor | undefined;

  constructor(onEntry: EntryVisitor | undefined) {
    this.#onEntry = onEntry;
  }

  /** Takes one record; a text says what is wrong with it. */
  record(type: RecordType, data: Buffer, segment: SegmentName, offset: number): string | undefined {
    switch (type) {
      case RecordType.entry:
        return this.#entry(Entry.decode(data), segment, offset);
      case RecordType.state:
        this.hardState = HardState.decode(data);
        return this.order.state(this.hardState);
      case RecordType.snapshot: {
        const mark = decodeMark(data);
        this.marks.push(mark);
        this.order.mark(mark.index);
        return undefined;
      }
      case RecordType.metadata:
        if (this.metadata?.equals(data) === false) return 'the metadata differs from the log’s beginning';
        this.metadata = Buffer.from(data);
        return undefined;
      case RecordType.crc:
        return undefined;
    }
  }

  #entry(entry: Entry, segment: SegmentName, offset: number): string | undefined {
    const broken = this.order.entry(entry);
    if (broken !== undefined) return broken;
    this.firstEntry ??= entry.index;
    this.places.add(entry.index, segment.sequence, offset);
    this.#onEntry?.(entry, segment, offset);
    return undefined;
  }
}

/**
 * Reads a whole log, checks it, and notes where its entries are, without keeping them.
 *
 * @param onEntry is handed each entry, replaced ones included; its data is valid during the call only
 * @throws CorruptLogError naming file and offset
 */
export function scanLog(directory: string, names: readonly SegmentName[], onEntry?: EntryVisitor): LogScan {
  const reader = new LogReader(onEntry);
  const segments: ScannedSegment[] = [];
  let end: SegmentScan = { end: 0, nonZeroEnd: 0, crc: 0 };
  names.forEach((segment, n) => {
    reader.firstEntry = undefined;
    const window = new FileWindow(join(directory, segment.name));
    try {
      const options = {
        file: segment.name,
        isLast: n === names.length - 1,
        crc: n === 0 ? undefined : end.crc,
      };
      end = scanSegment(window, options, (type, data, offset) => {
        const broken = explained(() => reader.record(type, data, segment, offset));
        if (broken !== undefined) throw new CorruptLogError(segment.name, offset, broken);
      });
    } finally {
      window.close();
    }
    segments.push({ ...segment, firstEntry: reader.firstEntry });
  });
  const { metadata, hardState, marks, places, order } = reader;
  return { segments, metadata, hardState, marks, lastIndex: order.lastIndex, places, end };
}

/** A message that can't be decoded is one more way for a record to be wrong. */
function explained(read: () => string | undefined): string | undefined {
  try {
    return read();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
