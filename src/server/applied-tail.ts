import { assert, defined } from '../lib/assert.ts';
import type { AppliedGroup, AppliedLog, AppliedMark, EntryId } from '../ports/applied-log.ts';
import type { Clock } from '../ports/clock.ts';
import type { Config } from '../config/config.ts';
import type { MemoryStorage } from '../raft/memory-storage.ts';
import type { Entry } from '../wire/gen/raftpb.ts';

/** Entries that are applied within this time share a mark. */
const GROUP_MS = 50;
/** Memory of an entry besides its data, roughly. */
const ENTRY_OVERHEAD_BYTES = 200;

/** A member that does not lead keeps entries at least as long as a change of the leader and some intervals take. */
const MIN_AGE_MS = 60_000;
const AGE_INTERVALS = 4;

export interface AppliedTailOptions {
  readonly clock: Clock;
  /** The oldest entries are dropped above this. */
  readonly maxBytes: number;
  /** Entries are dropped after this time, except if `keepOld` was called. */
  readonly maxAgeMs: number;
  readonly base: EntryId;
}

interface Group {
  mark: AppliedMark;
  readonly entries: Entry[];
  readonly startedMs: number;
  bytes: number;
  /** A closed group gets no further entries. */
  isClosed: boolean;
}

/** Keeps the newest applied entries for the log of the backups. It holds the buffers of the raft log, not copies. */
export class AppliedTail implements AppliedLog {
  readonly #options: AppliedTailOptions;
  #base: EntryId;
  #last: EntryId;
  #groups: Group[] = [];
  #bytes = 0;
  #isOldKept = false;

  constructor(options: AppliedTailOptions) {
    this.#options = options;
    this.#base = options.base;
    this.#last = options.base;
  }

  get base(): EntryId {
    return this.#base;
  }

  get last(): EntryId {
    return this.#last;
  }

  /**
   * Adds entries that were applied, with the state after the last one. Entries that were added before are skipped.
   *
   * @param count how many of the entries are applied
   */
  applied(
    entries: readonly Entry[],
    count: number,
    state: Pick<AppliedMark, 'revision' | 'compactRevision'>,
  ): void {
    const { clock } = this.#options;
    let group: Group | undefined;
    for (let at = 0; at < count; at += 1) {
      const entry = defined(entries[at], 'entries have no holes');
      if (entry.index <= this.#last.index) continue;
      assert(entry.index === this.#last.index + 1, 'applied entries are without gaps');
      group ??= this.#openGroup();
      const bytes = sizeOf(entry);
      group.entries.push(entry);
      group.bytes += bytes;
      this.#bytes += bytes;
      this.#last = entry;
    }
    if (group === undefined) return;
    const { revision, compactRevision } = state;
    group.mark = { index: this.#last.index, timeMs: Math.round(clock.wall()), revision, compactRevision };
    this.#last = { index: this.#last.index, term: this.#last.term };
    this.#trim();
  }

  /** Forgets everything: the store was replaced by a snapshot of the leader. */
  reset(base: EntryId): void {
    this.#base = base;
    this.#last = base;
    this.#groups = [];
    this.#bytes = 0;
  }

  entryAt(index: number): Entry | undefined {
    const group = this.#groups.find(({ entries }) => lastOf(entries).index >= index);
    const first = group?.entries[0];
    return first === undefined || index < first.index ? undefined : group?.entries[index - first.index];
  }

  after(index: number, maxBytes: number): readonly AppliedGroup[] | undefined {
    if (index < this.#base.index || index > this.#last.index) return undefined;
    const parts: AppliedGroup[] = [];
    let bytes = 0;
    for (const group of this.#groups) {
      const first = defined(group.entries[0], 'a group has entries').index;
      const from = Math.max(0, index + 1 - first);
      if (from >= group.entries.length) continue;
      let to = from;
      for (; to < group.entries.length; to += 1) {
        const size = sizeOf(defined(group.entries[to], 'entries have no holes'));
        if (bytes > 0 && bytes + size > maxBytes) break;
        bytes += size;
      }
      if (to === from) break;
      group.isClosed = true;
      parts.push({ mark: group.mark, entries: group.entries.slice(from, to) });
      if (to < group.entries.length) break;
    }
    return parts;
  }

  bytesAfter(index: number): number {
    if (index <= this.#base.index) return this.#bytes;
    return this.#groups.reduce(
      (sum, { entries, bytes }) => (lastOf(entries).index <= index ? sum : sum + bytes),
      0,
    );
  }

  keepOld(isKept: boolean): void {
    this.#isOldKept = isKept;
  }

  stored(index: number): void {
    let dropped = 0;
    while (dropped < this.#groups.length && lastOf(this.#entriesOf(dropped)).index <= index) dropped += 1;
    this.#drop(dropped);
  }

  #openGroup(): Group {
    const startedMs = this.#options.clock.now();
    const newest = this.#groups.at(-1);
    if (newest !== undefined && !newest.isClosed && startedMs - newest.startedMs < GROUP_MS) return newest;
    const mark = { index: 0, timeMs: 0, revision: 0, compactRevision: -1 };
    const group = { mark, entries: [], startedMs, bytes: 0, isClosed: false };
    this.#groups.push(group);
    return group;
  }

  #trim(): void {
    const { maxBytes, maxAgeMs, clock } = this.#options;
    const oldestMs = this.#isOldKept ? -Infinity : clock.now() - maxAgeMs;
    let bytes = this.#bytes;
    let dropped = 0;
    for (const group of this.#groups) {
      if (bytes <= maxBytes && group.startedMs >= oldestMs) break;
      bytes -= group.bytes;
      dropped += 1;
    }
    this.#drop(dropped);
  }

  #drop(count: number): void {
    if (count === 0) return;
    const { index, term } = lastOf(this.#entriesOf(count - 1));
    this.#base = { index, term };
    for (const { bytes } of this.#groups.splice(0, count)) this.#bytes -= bytes;
  }

  #entriesOf(place: number): readonly Entry[] {
    return defined(this.#groups[place], 'the group exists').entries;
  }
}

/**
 * Opens the tail of a member that stores the log of its backups, with the entries of the raft log that it applied before
 * it was stopped. When they were applied is not known; their time is that of the start.
 *
 * @param store the state after the last applied entry
 */
export function openAppliedTail(
  { backup }: Pick<Config, 'backup'>,
  logAtStart: () => MemoryStorage,
  applied: EntryId,
  clock: Clock,
  store: Pick<AppliedMark, 'revision' | 'compactRevision'>,
): AppliedTail | undefined {
  if (backup?.log === undefined) return undefined;
  const { maxBytes, intervalMs } = backup.log;
  const options = { clock, maxBytes, maxAgeMs: MIN_AGE_MS + AGE_INTERVALS * intervalMs };
  const memory = logAtStart();
  const from = memory.firstIndex();
  const term = memory.term(from - 1);
  const held = applied.index < from ? undefined : memory.entries(from, applied.index + 1, Infinity);
  if (typeof term !== 'number' || !Array.isArray(held))
    return new AppliedTail({ ...options, base: { index: applied.index, term: applied.term } });
  const tail = new AppliedTail({ ...options, base: { index: from - 1, term } });
  tail.applied(held, held.length, store);
  return tail;
}

function lastOf(entries: readonly Entry[]): Entry {
  return defined(entries.at(-1), 'a group has entries');
}

function sizeOf({ data }: Entry): number {
  return (data?.length ?? 0) + ENTRY_OVERHEAD_BYTES;
}
