import { assert } from '../lib/assert.ts';
import type { SeededRandom } from '../lib/seeded-random.ts';
import type { LogAppend, LogContents, LogSnapshotMark, LogStore } from '../ports/log-store.ts';
import { type Entry, HardState } from '../wire/gen/raftpb.ts';
import type { Life, SimTime } from './time.ts';

/** What the disk holds of a log; it outlives the process. */
export interface DurableLog {
  readonly metadata: Buffer;
  entries: Entry[];
  /** Index of the first of `entries`, or of the next one. */
  firstIndex: number;
  hardState: HardState;
  mark: LogSnapshotMark;
}

export function emptyLog(metadata: Buffer): DurableLog {
  const confState = { voters: [], learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false };
  return {
    metadata,
    entries: [],
    firstIndex: 1,
    hardState: HardState.create(),
    mark: { index: 0, term: 0, confState },
  };
}

interface Pending {
  readonly entries: readonly Entry[];
  readonly hardState: HardState | undefined;
  readonly mark: LogSnapshotMark | undefined;
  readonly done: (() => void)[];
}

export interface SimLogOptions {
  readonly time: SimTime;
  readonly random: SeededRandom;
  readonly life: Life;
  readonly durable: DurableLog;
  /** Milliseconds that the next sync takes. */
  readonly syncMs: () => number;
}

/**
 * A write-ahead log on a simulated disk: one write at a time, which takes what has piled up. A crash loses what was
 * not synced, but for as many of the first records of the write under way as happened to reach the disk.
 */
export class SimLog implements LogStore {
  readonly #options: SimLogOptions;
  readonly #entries: Entry[];
  #firstIndex: number;
  #state: HardState;
  #queue: Pending[] = [];
  #writing: Pending[] = [];

  constructor(options: SimLogOptions) {
    this.#options = options;
    const { durable } = options;
    this.#entries = [...durable.entries];
    this.#firstIndex = durable.firstIndex;
    this.#state = durable.hardState;
  }

  contents(): LogContents {
    const { metadata, hardState, mark, entries } = this.#options.durable;
    return {
      metadata,
      hardState,
      mark,
      entries: entries.filter(({ index }) => index > mark.index),
      repaired: undefined,
    };
  }

  get lastIndex(): number {
    return this.#firstIndex + this.#entries.length - 1;
  }

  /** The entry as this process has it, synced or not. */
  entry(index: number): Entry | undefined {
    return this.#entries[index - this.#firstIndex];
  }

  append({ entries, hardState }: LogAppend, done: () => void): void {
    const isNewVote =
      hardState !== undefined && (hardState.term !== this.#state.term || hardState.vote !== this.#state.vote);
    if (hardState !== undefined) this.#state = { ...hardState };
    if (entries.length === 0 && !isNewVote) {
      const last = this.#queue.at(-1) ?? this.#writing.at(-1);
      if (last === undefined) queueMicrotask(done);
      else last.done.push(done);
      return;
    }
    this.#firstIndex = place(this.#entries, this.#firstIndex, entries);
    this.#enqueue({ entries, hardState, mark: undefined, done: [done] });
  }

  flush(): void {
    if (this.#writing.length === 0 && this.#queue.length > 0) this.#write();
  }

  appendable(): boolean {
    return true;
  }

  release(mark: LogSnapshotMark): Promise<void> {
    if (mark.index > this.lastIndex) {
      this.#entries.length = 0;
      this.#firstIndex = mark.index + 1;
    }
    return new Promise((resolve) => {
      this.#enqueue({ entries: [], hardState: undefined, mark, done: [resolve] });
    });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** The process has died, and with it what the disk had not been given. */
  crash(): void {
    const { random } = this.#options;
    const all = this.#writing;
    this.#writing = [];
    this.#queue = [];
    const reached = random.int(all.length + 1);
    for (const item of all.slice(0, reached)) this.#settle(item);
    const torn = all[reached];
    if (torn === undefined) return;
    // Of a torn record the entries before the tear count, and the state that comes after them does not.
    const count = random.int(torn.entries.length + 1);
    this.#settle({ ...torn, entries: torn.entries.slice(0, count), hardState: undefined, mark: undefined });
  }

  #enqueue(item: Pending): void {
    this.#queue.push(item);
    const { time, life } = this.#options;
    time.after(0, () => {
      if (!life.isOver) this.flush();
    });
  }

  #write(): void {
    const { time, life, syncMs } = this.#options;
    this.#writing = this.#queue;
    this.#queue = [];
    time.after(syncMs(), () => {
      if (life.isOver) return;
      const written = this.#writing;
      this.#writing = [];
      for (const item of written) this.#settle(item);
      this.#settleState();
      for (const { done } of written) for (const call of done) call();
      this.flush();
    });
  }

  #settle({ entries, hardState, mark }: Pending): void {
    const { durable } = this.#options;
    durable.firstIndex = place(durable.entries, durable.firstIndex, entries);
    if (hardState !== undefined) durable.hardState = { ...hardState };
    if (mark !== undefined) this.#settleMark(mark);
    this.#clipCommit();
  }

  #settleMark(mark: LogSnapshotMark): void {
    const { durable } = this.#options;
    durable.mark = mark;
    const last = durable.firstIndex + durable.entries.length - 1;
    if (mark.index > last) {
      durable.entries = [];
      durable.firstIndex = mark.index + 1;
    }
  }

  /** A write ends with the newest state. */
  #settleState(): void {
    const { durable } = this.#options;
    if (this.#queue.length === 0) durable.hardState = { ...this.#state };
    this.#clipCommit();
  }

  /** The log never says that more is committed than it holds. */
  #clipCommit(): void {
    const { durable } = this.#options;
    const last = durable.firstIndex + durable.entries.length - 1;
    if (durable.hardState.commit > last) durable.hardState = { ...durable.hardState, commit: last };
  }
}

/** Puts entries where they belong, over what follows the first of them. @returns the first index held then */
function place(target: Entry[], firstIndex: number, entries: readonly Entry[]): number {
  const [first] = entries;
  if (first === undefined) return firstIndex;
  const start = target.length === 0 ? first.index : firstIndex;
  assert(first.index <= start + target.length, 'entries are appended without a gap');
  const kept = Math.max(0, first.index - start);
  target.length = kept;
  target.push(...entries);
  return Math.min(start, first.index);
}
