import { join } from 'node:path';
import { reasonOf } from '../../lib/text.ts';
import type { LogDisk } from '../../ports/log-disk.ts';
import type { LogSnapshot } from '../../ports/log-store.ts';
import { Entry, HardState, type ConfState } from '../../wire/gen/raftpb.ts';
import { Snapshot } from '../../wire/gen/walpb.ts';
import { CorruptLogError } from './corrupt-log-error.ts';
import { FileWindow } from './file-window.ts';
import { nodeDisk } from './node-disk.ts';
import { RecordType } from './record.ts';
import { RecordOrder } from './record-order.ts';
import { scanSegment, type SegmentScan } from './segment-scan.ts';
import type { SegmentName } from './segment-name.ts';
import type { TermRuns } from './term-runs.ts';

export interface LogScan {
  readonly metadata: Buffer | undefined;
  readonly hardState: HardState;
  /** The newest snapshot record. */
  readonly snapshot: LogSnapshot | undefined;
  /** Copies of the valid entries up to the newest snapshot record's; empty unless requested. */
  readonly earlier: Entry[];
  /** Copies of the valid entries after the newest snapshot record; empty unless requested. */
  readonly entries: Entry[];
  /** Bytes of all records after the newest snapshot record. */
  readonly unreleasedBytes: number;
  /** Terms of the valid entries. */
  readonly terms: TermRuns;
  /** How the last segment ends. */
  readonly end: SegmentScan;
}

export interface LogScanOptions {
  /** Called with each entry, also with replaced ones. The data of the entry is valid only during the call. */
  readonly onEntry?: (entry: Entry) => void;
  readonly keepsEntries?: boolean;
  /** Default: the file system of the machine. */
  readonly disk?: LogDisk;
}

export const emptyConfState: ConfState = {
  voters: [],
  learners: [],
  votersOutgoing: [],
  learnersNext: [],
  autoLeave: false,
};

function decodeSnapshot(data: Buffer): LogSnapshot {
  const { index, term, confState } = Snapshot.decode(Buffer.from(data));
  return { index, term, confState: confState ?? emptyConfState };
}

/** Collects the contents of the records of a log, and checks them against raft's rules. */
class LogReader {
  readonly order = new RecordOrder();
  metadata: Buffer | undefined;
  hardState = HardState.create();
  snapshot: LogSnapshot | undefined;
  entries: Entry[] = [];
  readonly #options: LogScanOptions;

  constructor(options: LogScanOptions) {
    this.#options = options;
  }

  /** Reads one record. @returns what is wrong with it, if anything */
  record(type: RecordType, data: Buffer): string | undefined {
    switch (type) {
      case RecordType.entry:
        return this.#entry(Entry.decode(data));
      case RecordType.state:
        this.hardState = HardState.decode(data);
        return this.order.state(this.hardState);
      case RecordType.snapshot:
        this.#snapshot(decodeSnapshot(data));
        return undefined;
      case RecordType.metadata:
        if (this.metadata?.equals(data) === false) return 'the metadata differs from the log’s beginning';
        this.metadata = Buffer.from(data);
        return undefined;
      case RecordType.crc:
        return undefined;
    }
  }

  #entry(entry: Entry): string | undefined {
    const broken = this.order.entry(entry);
    if (broken !== undefined) return broken;
    this.#options.onEntry?.(entry);
    if (this.#options.keepsEntries === true) this.#keep(entry);
    return undefined;
  }

  /** The entry replaces the kept entries from its index on. */
  #keep(entry: Entry): void {
    const first = this.entries[0]?.index ?? entry.index;
    this.entries.length = Math.max(0, entry.index - first);
    this.entries.push(entry.data === undefined ? entry : { ...entry, data: Buffer.from(entry.data) });
  }

  #snapshot(snapshot: LogSnapshot): void {
    const isVoid = this.order.snapshot(snapshot.index, snapshot.term);
    if (snapshot.index < (this.snapshot?.index ?? 0)) return;
    this.snapshot = snapshot;
    if (isVoid) this.entries = [];
  }
}

/**
 * Reads a whole log and checks it.
 *
 * @throws CorruptLogError naming file and offset
 */
export function scanLog(
  directory: string,
  names: readonly SegmentName[],
  options: LogScanOptions = {},
): LogScan {
  const reader = new LogReader(options);
  let end: SegmentScan = { end: 0, nonZeroEnd: 0, crc: 0 };
  /** Where the current segment begins, and where the newest snapshot record is, in bytes of all segments. */
  let base = 0;
  let snapshotAt = 0;
  names.forEach(({ name: file }, n) => {
    const window = new FileWindow(options.disk ?? nodeDisk, join(directory, file));
    try {
      const isLast = n === names.length - 1;
      const crc = n === 0 ? undefined : end.crc;
      end = scanSegment(window, { file, isLast, crc }, (type, data, offset) => {
        const before = reader.snapshot;
        const broken = explained(() => reader.record(type, data));
        if (broken !== undefined) throw new CorruptLogError(file, offset, broken);
        if (reader.snapshot !== before) snapshotAt = base + offset;
      });
      base += end.end;
    } finally {
      window.close();
    }
  });
  const { metadata, hardState, snapshot, entries, order } = reader;
  const { terms } = order;
  if (snapshot !== undefined && !terms.isEmpty && snapshot.index + 1 < terms.firstIndex) {
    const reason = `the log begins at entry ${terms.firstIndex}, and its newest snapshot record is at ${snapshot.index}`;
    throw new CorruptLogError(names[0]?.name ?? directory, 0, reason);
  }
  const after = entries.findIndex(({ index }) => index > (snapshot?.index ?? 0));
  const split = after === -1 ? entries.length : after;
  return {
    metadata,
    hardState,
    snapshot,
    earlier: entries.slice(0, split),
    entries: entries.slice(split),
    unreleasedBytes: base - snapshotAt,
    terms,
    end,
  };
}

/** A decoding error also means that the record is wrong. */
function explained(read: () => string | undefined): string | undefined {
  try {
    return read();
  } catch (error) {
    return reasonOf(error);
  }
}
