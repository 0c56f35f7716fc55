import { join } from 'node:path';
import { assert, defined } from '../../lib/assert.ts';
import type { LogDisk, OpenDirectory } from '../../ports/log-disk.ts';
import type { LogAppend, LogSnapshot, LogStore } from '../../ports/log-store.ts';
import type { Entry, HardState } from '../../wire/gen/raftpb.ts';
import { Snapshot } from '../../wire/gen/walpb.ts';
import { isOutOfSpace } from '../out-of-space.ts';
import { InlineWrites } from './inline-writes.ts';
import { maxFrameBytes, RecordType } from './record.ts';
import { RecordEncoder } from './record-encoder.ts';
import { nodeDisk } from './node-disk.ts';
import { DEFAULT_SLICE_BYTES, type SegmentFile } from './segment-file.ts';
import { countReleased } from './released-segments.ts';
import { segmentName, type SegmentName } from './segment-name.ts';
import { SegmentPreparer } from './segment-preparer.ts';
import { SegmentRemover } from './segment-remover.ts';
import type { TermRuns } from './term-runs.ts';

/** A segment is filled so far ahead of the writer: some writes of the largest size. */
const DEFAULT_AHEAD_BYTES = 8 << 20;
/** More waiting slices than these are written without zeros before them. A write of zeros fills as many at most. */
const UNPREPARED_SLICES = 8;
/** Waiting appends are written together up to this size. */
const MAX_WRITE_BYTES = 4 << 20;
/** Larger writes are never inline. */
const MAX_INLINE_BYTES = 64 << 10;
/** Reserved space that proposals can't use, so that raft's own entries never wait for a full disk. */
const MAX_RESERVE_BYTES = 4 << 20;
/** Maximum size of an entry's fields without its data. */
const ENTRY_FIELD_BYTES = 48;
/** Delay before a failed creation of a segment is retried. */
const ROTATE_RETRY_MS = 500;

export interface FileLogOptions {
  /** Holds the segments; `member/wal` of the data directory. */
  readonly directory: string;
  readonly segmentBytes: number;
  /** Bytes that are filled with zeros by one write ahead of the writer. */
  readonly sliceBytes?: number;
  /** How far ahead of the writer a segment is filled. */
  readonly aheadBytes?: number;
  /** Default: the file system of the machine. */
  readonly disk?: LogDisk;
  /** Called once when a write or sync failed. Nothing is written any more, and the process must end. */
  readonly onFailure: (error: Error) => void;
  /** Called after each synced write, for metrics; `bufferMs` is what it took to put the records into its buffer. */
  readonly onSync?: (durationMs: number, bytes: number, bufferMs: number) => void;
}

interface QueuedAppend extends LogAppend {
  readonly snapshot: LogSnapshot | undefined;
  /** Whether the snapshot record makes everything before it void, so that the log starts again after the snapshot record. */
  readonly isVoiding: boolean;
  /** Upper limit of its bytes in the log. */
  readonly bytes: number;
  /** Its own callback, and those of later appends that have nothing to write. */
  readonly done: (() => void)[];
}

/** Encoded records that are being written. */
interface TakenRecords {
  readonly records: Buffer;
  readonly bufferMs: number;
  /** Whether they go to space that is allocated on the disk, so that the write can't fail because the disk is full. */
  readonly isAllocated: boolean;
}

/** State of an opened log, passed from recovery to the writer. */
export interface OpenedLog {
  readonly metadata: Buffer;
  readonly hardState: HardState;
  readonly segments: SegmentName[];
  readonly terms: TermRuns;
  /** Index of the newest snapshot record. */
  readonly snapshotIndex: number;
  readonly crc: number;
  readonly tail: SegmentFile;
  readonly tailOffset: number;
  /** Bytes after the newest snapshot record. */
  readonly unreleasedBytes: number;
}

/** The log in segment files of etcd's format. At most one write runs at a time, and each is synced. */
export class FileLog implements LogStore {
  readonly #options: FileLogOptions;
  readonly #metadata: Buffer;
  readonly #encoder: RecordEncoder;
  readonly #preparer: SegmentPreparer;
  readonly #remover: SegmentRemover;
  readonly #disk: LogDisk;
  readonly #inline: InlineWrites;
  readonly #directory: OpenDirectory;
  readonly #segments: SegmentName[];
  /** Terms of the entries passed to `append`. */
  readonly #terms: TermRuns;
  #queue: QueuedAppend[] = [];
  #queuedBytes = 0;
  #writing: QueuedAppend[] = [];
  #isWriting = false;
  #flushScheduled = false;
  #tail: SegmentFile;
  #tailOffset: number;
  #lastWriteBytes = 0;
  #next: SegmentFile | undefined;
  /** Newest state passed to `append`. */
  #state: HardState;
  /** Newest encoded state. Its commit index is never beyond the encoded entries. */
  #encodedState: HardState;
  #encodedIndex: number;
  #snapshotIndex: number;
  #unreleasedBytes: number;
  #failed = false;
  /** Whether the write in progress waits for disk space. */
  #isOutOfSpace = false;
  #closing: (() => void) | undefined;

  constructor(options: FileLogOptions, opened: OpenedLog) {
    this.#options = options;
    this.#metadata = opened.metadata;
    this.#encoder = new RecordEncoder(opened.crc);
    const { directory, sliceBytes = DEFAULT_SLICE_BYTES, disk = nodeDisk } = options;
    this.#disk = disk;
    this.#inline = new InlineWrites(disk.times);
    this.#directory = disk.openDirectory(directory);
    this.#remover = new SegmentRemover(disk, this.#directory, (error) => this.#fail(error));
    this.#segments = opened.segments;
    this.#terms = opened.terms;
    this.#tail = opened.tail;
    this.#tailOffset = opened.tailOffset;
    this.#state = opened.hardState;
    this.#encodedState = opened.hardState;
    this.#encodedIndex = opened.terms.lastIndex;
    this.#snapshotIndex = opened.snapshotIndex;
    this.#unreleasedBytes = opened.unreleasedBytes;
    this.#preparer = new SegmentPreparer(
      { disk, directory, sliceBytes, aheadBytes: options.aheadBytes ?? DEFAULT_AHEAD_BYTES },
      {
        onPrepared: () => this.#flush(),
        onError: (error) => this.#fail(error),
        onDiskFull: () => {
          if (this.#closing !== undefined) this.#flush();
        },
        waitingBytes: () => this.#queuedBytes,
        lastWriteBytes: () => this.#lastWriteBytes,
        offsetOf: (segment) => (segment === this.#tail ? this.#tailOffset : 0),
        isUrgent: () =>
          this.#queue.length > 0 ||
          this.#tailOffset > this.#tail.size * 0.75 ||
          // A disk that becomes full just now must be noticed before the writer reaches this segment.
          (this.#next !== undefined && this.#next.ready < this.#reserveBytes()),
      },
    );
    this.#prepareAhead();
  }

  get lastIndex(): number {
    return this.#terms.lastIndex;
  }

  get unreleasedBytes(): number {
    return this.#unreleasedBytes;
  }

  append(batch: LogAppend, done: () => void): void {
    const { entries, hardState } = batch;
    const needsSync = entries.length > 0 || this.#isNewVote(hardState);
    if (hardState !== undefined) this.#state = hardState;
    if (!needsSync) {
      // Raft's response to this append may acknowledge the entries of the appends before it.
      const last = this.#queue.at(-1) ?? this.#writing.at(-1);
      if (last === undefined) queueMicrotask(done);
      else last.done.push(done);
      return;
    }
    let bytes = 0;
    for (const entry of entries) bytes += maxFrameBytes(ENTRY_FIELD_BYTES + (entry.data?.length ?? 0));
    this.#noteEntries(entries);
    this.#enqueue({ entries, hardState, snapshot: undefined, isVoiding: false, bytes, done: [done] });
  }

  flush(): void {
    this.#flush();
  }

  writeNow(): void {
    const bytes = this.#queuedBytes + maxFrameBytes(ENTRY_FIELD_BYTES);
    if (this.#isWriting || this.#failed || this.#queue.length === 0 || bytes > MAX_INLINE_BYTES) return;
    if (this.#tailOffset + bytes > this.#tail.ready || !this.#inline.isNext()) return;
    const { records, bufferMs } = this.#takeQueue(this.#tail, this.#tailOffset);
    let took: number;
    try {
      took = this.#inline.run(() => this.#tail.writeNow(records, this.#tailOffset));
    } catch (error) {
      return this.#fail(error as Error);
    }
    this.#options.onSync?.(took, records.length, bufferMs);
    this.#finishWrite(records.length);
  }

  get room(): number {
    if (this.#isOutOfSpace) return 0;
    if (!this.#preparer.isDiskFull) return Infinity;
    const tailLeft = this.#tail.ready - this.#tailOffset - this.#queuedBytes;
    return Math.max(tailLeft, (this.#next?.ready ?? 0) - this.#headerBytes()) - this.#reserveBytes();
  }

  release(snapshot: LogSnapshot): Promise<void> {
    // An older snapshot record comes from a compaction that started before a snapshot was received.
    if (this.#closing !== undefined || snapshot.index < this.#snapshotIndex) return Promise.resolve();
    return new Promise((resolve) => {
      this.#snapshotIndex = snapshot.index;
      this.#unreleasedBytes = 0;
      const isVoiding = this.#terms.settle(snapshot.index, snapshot.term);
      // Everything up to a snapshot record is committed, and the state of the log must agree.
      if (this.#state.commit < snapshot.index) this.#state = { ...this.#state, commit: snapshot.index };
      const bytes = maxFrameBytes(Snapshot.encode(snapshot).length);
      const done = (): void => {
        this.#dropSegments(snapshot);
        resolve();
      };
      this.#enqueue({ entries: [], hardState: undefined, snapshot, isVoiding, bytes, done: [done] });
    });
  }

  async close(): Promise<void> {
    if (!this.#failed) {
      if (this.#state !== this.#encodedState) {
        this.#enqueue({
          entries: [],
          hardState: this.#state,
          snapshot: undefined,
          isVoiding: false,
          bytes: 0,
          done: [],
        });
      }
      await new Promise<void>((resolve) => {
        this.#closing = resolve;
        this.#scheduleFlush();
      });
    }
    await this.#preparer.stop();
    await this.#remover.idle();
    this.#tail.close();
    this.#next?.close();
    this.#directory.close();
  }

  get #tailSequence(): number {
    return defined(this.#segments.at(-1), 'the log has a segment').sequence;
  }

  #isNewVote(state: HardState | undefined): boolean {
    return state !== undefined && (state.term !== this.#state.term || state.vote !== this.#state.vote);
  }

  #noteEntries(entries: readonly Entry[]): void {
    for (const { index, term } of entries) {
      assert(index <= this.#terms.lastIndex + 1 && index > 0, 'entries are appended without a gap');
      this.#terms.add(index, term);
    }
  }

  #enqueue(item: QueuedAppend): void {
    assert(this.#closing === undefined, 'nothing is appended to a closed log');
    this.#queue.push(item);
    this.#queuedBytes += item.bytes;
    this.#scheduleFlush();
  }

  /** Waits for the end of the current turn, so that all its appends share a sync. */
  #scheduleFlush(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    this.#disk.endOfTurn(() => {
      this.#flushScheduled = false;
      this.#flush();
    });
  }

  #reserveBytes(): number {
    return Math.min(MAX_RESERVE_BYTES, this.#options.segmentBytes / 8);
  }

  #headerBytes(): number {
    return maxFrameBytes(0) + maxFrameBytes(this.#metadata.length) + 2 * maxFrameBytes(ENTRY_FIELD_BYTES);
  }

  #flush(): void {
    if (this.#isWriting || this.#failed) return;
    const first = this.#queue[0];
    if (first === undefined) {
      this.#closing?.();
      return;
    }
    if (this.#closing !== undefined && this.#preparer.isDiskFull && !this.#fits(first)) {
      this.#giveUp(this.#closing);
      return;
    }
    const needed = first.bytes + maxFrameBytes(ENTRY_FIELD_BYTES);
    if (this.#tailOffset + needed > this.#tail.size) this.#rotate(needed + this.#headerBytes());
    else if (this.#tailOffset + needed <= this.#limit(this.#tail))
      this.#writeQueue(this.#tail, this.#tailOffset);
    else this.#preparer.hurry(this.#tail);
  }

  /**
   * Where a write into the segment must end. If many slices wait, it may go beyond the zeros and allocate its space
   * itself: the records would have to wait for several writes of zeros. But zeros that are being written must be waited
   * for, and a full disk leaves only what is allocated.
   */
  #limit(segment: SegmentFile): number {
    const isLarge = this.#queuedBytes > UNPREPARED_SLICES * (this.#options.sliceBytes ?? DEFAULT_SLICE_BYTES);
    const isBound = !isLarge || segment.isPreparing || this.#preparer.isDiskFull;
    return isBound ? segment.ready : segment.size;
  }

  #fits(item: QueuedAppend): boolean {
    const needed = item.bytes + maxFrameBytes(ENTRY_FIELD_BYTES);
    return (
      this.#tailOffset + needed <= this.#tail.ready ||
      needed + this.#headerBytes() <= (this.#next?.ready ?? 0)
    );
  }

  /** Continues in the next segment if it is prepared far enough. Otherwise its preparation calls `#flush` again. */
  #rotate(needed: number): void {
    this.#next ??= this.#preparer.begin(Math.max(needed, this.#options.segmentBytes));
    const next = this.#next;
    if (next === undefined) {
      // A failed disk has stopped the log. A full disk is retried.
      this.#disk.after(ROTATE_RETRY_MS, () => this.#flush());
      return;
    }
    next.size = Math.max(next.size, needed);
    if (this.#limit(next) < needed) {
      this.#preparer.hurry(next);
      return;
    }
    this.#encoder.chain();
    this.#encoder.message(RecordType.metadata, this.#metadata);
    this.#encoder.state(this.#encodedState);
    this.#writeQueue(next, 0);
  }

  /** Writes what fits from the queue with one call in the background. */
  #writeQueue(segment: SegmentFile, offset: number): void {
    const { records, bufferMs } = this.#takeQueue(segment, offset);
    this.#write(segment, offset, {
      records,
      bufferMs,
      isAllocated: offset + records.length <= segment.ready,
    });
  }

  #write(segment: SegmentFile, offset: number, taken: TakenRecords): void {
    const { records, bufferMs, isAllocated } = taken;
    const { times } = this.#disk;
    const startedMs = times.now();
    segment.write(records, offset, (error) => {
      this.#isOutOfSpace = error !== null && !isAllocated && isOutOfSpace(error);
      if (this.#isOutOfSpace) return this.#writeAgain(() => this.#write(segment, offset, taken));
      if (error !== null) return this.#fail(error);
      const took = times.now() - startedMs;
      if (records.length <= MAX_INLINE_BYTES) this.#inline.noteBackground(took);
      this.#options.onSync?.(took, records.length, bufferMs);
      if (segment === this.#tail) this.#finishWrite(records.length);
      else this.#installSegment(segment, records.length);
    });
  }

  /** The same bytes go to the same place when there is space. A part of them may be there already. */
  #writeAgain(write: () => void): void {
    this.#disk.after(ROTATE_RETRY_MS, () => {
      if (this.#closing === undefined) write();
      else this.#giveUp(this.#closing);
    });
  }

  /** These appends were not acknowledged, and a stop does not wait for disk space. */
  #giveUp(closed: () => void): void {
    this.#queue = [];
    closed();
  }

  /** Encodes what fits from the queue, which is then being written. @returns the records and the time it took */
  #takeQueue(segment: SegmentFile, offset: number): { records: Buffer; bufferMs: number } {
    const encoder = this.#encoder;
    const { times } = this.#disk;
    const begunMs = times.now();
    const room = Math.min(MAX_WRITE_BYTES, this.#limit(segment) - offset - maxFrameBytes(ENTRY_FIELD_BYTES));
    const stateBytes = maxFrameBytes(ENTRY_FIELD_BYTES);
    encoder.reserve(Math.min(this.#queuedBytes, Math.max(room, this.#queue[0]?.bytes ?? 0)) + stateBytes);
    let count = 0;
    for (const item of this.#queue) {
      if (count > 0 && encoder.length + item.bytes > room) break;
      this.#encodeItem(item);
      this.#queuedBytes -= item.bytes;
      count++;
    }
    this.#encodeState(count === this.#queue.length);
    this.#writing = count === this.#queue.length ? this.#queue : this.#queue.slice(0, count);
    this.#queue = count === this.#queue.length ? [] : this.#queue.slice(count);
    this.#isWriting = true;
    return { records: encoder.buffer.subarray(0, encoder.length), bufferMs: times.now() - begunMs };
  }

  #encodeItem({ entries, hardState, snapshot, isVoiding }: QueuedAppend): void {
    const encoder = this.#encoder;
    for (const entry of entries) {
      this.#encodedIndex = entry.index;
      encoder.entry(entry);
    }
    if (hardState !== undefined) this.#encodedState = hardState;
    if (snapshot === undefined) return;
    if (isVoiding) this.#encodedIndex = snapshot.index;
    if (this.#encodedState.commit < snapshot.index)
      this.#encodedState = { ...this.#encodedState, commit: snapshot.index };
    encoder.message(RecordType.snapshot, Snapshot.encode(snapshot));
  }

  /**
   * Ends a write with a state record, by which recovery detects a torn write. The commit index may be beyond the
   * entries that this member has written, and raft refuses a log that commits more than it holds. So the state is
   * limited to the written entries.
   */
  #encodeState(isWholeQueue: boolean): void {
    const newest = isWholeQueue ? this.#state : this.#encodedState;
    const isAhead = newest.commit > this.#encodedIndex;
    this.#encodedState = isAhead ? { ...newest, commit: this.#encodedIndex } : newest;
    this.#encoder.state(this.#encodedState);
  }

  /** Gives a segment its final name after its first write. The name is durable before the write is acknowledged. */
  #installSegment(segment: SegmentFile, bytes: number): void {
    const firstEntry = this.#writing.find((item) => item.entries.length > 0)?.entries[0]?.index;
    const name = segmentName(this.#tailSequence + 1, firstEntry ?? this.#encodedIndex + 1);
    const path = join(this.#options.directory, name.name);
    this.#disk.rename(segment.path, path, (renameError) => {
      if (renameError !== null) return this.#fail(renameError);
      this.#directory.sync((error) => {
        if (error !== null) return this.#fail(error);
        // The rest of the old segment needs no zeros, since nothing is written there any more.
        this.#preparer.forget(this.#tail);
        this.#tail.close();
        segment.path = path;
        this.#tail = segment;
        this.#tailOffset = 0;
        this.#next = undefined;
        this.#segments.push(name);
        this.#finishWrite(bytes);
      });
    });
  }

  #finishWrite(bytes: number): void {
    this.#tailOffset += bytes;
    this.#lastWriteBytes = bytes;
    this.#unreleasedBytes += bytes;
    this.#encoder.clear();
    this.#isWriting = false;
    const written = this.#writing;
    this.#writing = [];
    for (const { done } of written) for (const call of done) call();
    this.#prepareAhead();
    // What arrived during this write shares the next one with what waits already.
    if (this.#queue.length > 0) this.#disk.afterInput(() => this.#flush());
    else this.#flush();
  }

  /** Prepares the current segment, and the next one when a quarter of the current one is written. */
  #prepareAhead(): void {
    this.#preparer.prepare(this.#tail);
    if (this.#tailOffset * 4 < this.#tail.size || this.#next !== undefined) return;
    this.#next = this.#preparer.begin(this.#options.segmentBytes);
  }

  #dropSegments(snapshot: LogSnapshot): void {
    const sizes = { segmentBytes: this.#options.segmentBytes, tailBytes: this.#tailOffset };
    for (const { name } of this.#segments.splice(0, countReleased(this.#segments, snapshot, sizes)))
      this.#remover.remove(join(this.#options.directory, name));
  }

  #fail(error: Error): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#queue = [];
    this.#options.onFailure(error);
  }
}
