import { join } from 'node:path';
import { Entry, HardState, type ConfState } from '../../wire/gen/raftpb.ts';
import { Snapshot } from '../../wire/gen/walpb.ts';
import { CorruptLogError } from './corrupt-log-error.ts';
import { EntryPlaces } from './entry-places.ts';
import { FileWindow } from './file-window.ts';
import { RecordType } from './record.ts';
import { scanSegment, type RecordVisitor, type SegmentScan } from './segment-scan.ts';
import type { SegmentName } from './segment-name.ts';
import type { LogSnapshotMark } from '../../ports/log-store.ts';

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

/**
 * Reads a whole log, checks it, and notes where its entries are, without keeping them.
 *
 * @param onEntry is handed each entry, replaced ones included; its data is valid during the call only
 * @throws CorruptLogError naming file and offset
 */
export function scanLog(
  directory: string,
  names: readonly SegmentName[],
  onEntry?: (entry: Entry, segment: SegmentName, offset: number) => void,
): LogScan {
  const places = new EntryPlaces();
  const marks: LogSnapshotMark[] = [];
  const segments: ScannedSegment[] = [];
  let metadata: Buffer | undefined;
  let hardState = HardState.create();
  let lastIndex = 0;
  let end: SegmentScan = { end: 0, nonZeroEnd: 0, crc: 0 };
  names.forEach((segment, n) => {
    let firstEntry: number | undefined;
    const visit: RecordVisitor = (type, data, offset) => {
      switch (type) {
        case RecordType.entry: {
          const entry = Entry.decode(data);
          if (
            lastIndex !== 0 &&
            entry.index > lastIndex + 1 &&
            entry.index > (marks.at(-1)?.index ?? 0) + 1
          ) {
            throw new CorruptLogError(
              segment.name,
              offset,
              `entry ${entry.index} follows entry ${lastIndex}`,
            );
          }
          firstEntry ??= entry.index;
          lastIndex = entry.index;
          places.add(entry.index, segment.sequence, offset);
          onEntry?.(entry, segment, offset);
          break;
        }
        case RecordType.state:
          hardState = HardState.decode(data);
          break;
        case RecordType.snapshot:
          marks.push(decodeMark(data));
          break;
        case RecordType.metadata:
          if (metadata !== undefined && !metadata.equals(data)) {
            throw new CorruptLogError(segment.name, offset, 'the metadata differs from the log’s beginning');
          }
          metadata = Buffer.from(data);
          break;
        case RecordType.crc:
          break;
      }
    };
    const window = new FileWindow(join(directory, segment.name));
    try {
      const isLast = n === names.length - 1;
      end = scanSegment(window, { file: segment.name, isLast, crc: n === 0 ? undefined : end.crc }, visit);
    } finally {
      window.close();
    }
    segments.push({ ...segment, firstEntry });
  });
  return { segments, metadata, hardState, marks, lastIndex, places, end };
}
