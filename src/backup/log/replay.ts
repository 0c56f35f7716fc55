import { AlarmStore } from '../../apply/alarms.ts';
import { AppliedState } from '../../apply/applied-state.ts';
import { Applier } from '../../apply/applier.ts';
import { Quota } from '../../apply/quota.ts';
import { settleAfterCrash } from '../../apply/settle-after-crash.ts';
import { AuthStore } from '../../auth/auth-store.ts';
import { Lessor } from '../../lease/lessor.ts';
import { Cluster } from '../../membership/cluster.ts';
import { reasonOf } from '../../lib/text.ts';
import { MvccStore } from '../../mvcc/store.ts';
import type { AppliedMark, EntryId } from '../../ports/applied-log.ts';
import type { Engine } from '../../ports/engine.ts';
import type { Entry } from '../../wire/gen/raftpb.ts';
import { type LogPlace, readGrowingSegment } from './read-segment.ts';
import type { StoredSegment } from './segment-name.ts';

/** Entries that are applied together. */
const BATCH_ENTRIES = 64;
const NO_LIMIT = -1;

/** Where to stop. Without any of them, all is applied. */
export interface ReplayTarget {
  /** Just after the entry that made this revision. */
  readonly revision?: number;
  /** Before the first entry that was applied later than this, in milliseconds since 1970. */
  readonly timeMs?: number;
  /** After this entry. */
  readonly index?: number;
}

export interface Replayed {
  readonly entries: number;
  readonly revision: number;
  readonly compactRevision: number;
  readonly applied: EntryId;
  /** When the last entry was applied. Undefined if none was. */
  readonly timeMs: number | undefined;
  /** Whether the target is reached. False if the log ends before it. */
  readonly isReached: boolean;
}

/**
 * Applies segments to a restored store, as the members applied their entries: the same code with the same input, so that
 * the result is the same. Entries that the store has are skipped. The state is compared with each mark.
 *
 * @throws Error that names the segment if one is missing or damaged, or if the store or a segment is of another history
 */
export async function replay(
  engine: Engine,
  log: LogPlace,
  segments: readonly StoredSegment[],
  target: ReplayTarget,
): Promise<Replayed> {
  let replayer: Replayer | undefined;
  for (const stored of segments) {
    const { header, records } = await readGrowingSegment(log, stored);
    replayer ??= new Replayer(engine, header.minLeaseTtl, target);
    try {
      replayer.begin(header.previous);
      for (const record of records())
        if (record.kind === 'mark') replayer.mark(record.mark);
        else if (!replayer.take(record.entry)) return replayer.result(true);
      replayer.flush();
    } catch (error) {
      const reason = reasonOf(error);
      throw new Error(`the segment ${stored.name} cannot be applied: ${reason}`, { cause: error });
    }
  }
  replayer ??= new Replayer(engine, 1, target);
  return replayer.result(replayer.isAtTarget);
}

class Replayer {
  readonly #target: ReplayTarget;
  readonly #store: MvccStore;
  readonly #applied: AppliedState;
  readonly #applier: Applier;
  #batch: Entry[] = [];
  #mark: AppliedMark | undefined;
  #timeMs: number | undefined;
  #entries = 0;

  constructor(engine: Engine, minLeaseTtl: number, target: ReplayTarget) {
    this.#target = target;
    settleAfterCrash(engine);
    const store = new MvccStore(engine, { listCacheBytes: 0 });
    const applied = new AppliedState(engine);
    const lessor = new Lessor({
      engine,
      clock: { now: () => 0, wall: () => 0 },
      minTtl: minLeaseTtl,
      checkpoints: false,
    });
    this.#store = store;
    this.#applied = applied;
    this.#applier = new Applier(
      {
        engine,
        store,
        lessor,
        cluster: new Cluster({ engine, localId: 0n, id: 0n }),
        auth: new AuthStore({ engine }),
        alarms: new AlarmStore(engine),
        applied,
        // The quota changes only answers.
        quota: new Quota(NO_LIMIT, () => 0),
        maxLearners: Number.MAX_SAFE_INTEGER,
        // A restore replaces the members and the configuration of raft.
        applyToRaft: () => applied.confState,
      },
      {
        isWanted: () => false,
        onResult: () => undefined,
        onConfChange: () => undefined,
        // The server finishes it when it starts.
        onCompaction: () => undefined,
        onEmptyEntry: () => undefined,
        onEvents: () => undefined,
      },
    );
  }

  get isAtTarget(): boolean {
    const { revision, index, timeMs } = this.#target;
    if (revision !== undefined) return this.#store.revision >= revision;
    if (index !== undefined) return this.#applied.index >= index;
    return timeMs === undefined || (this.#timeMs ?? 0) >= timeMs;
  }

  /** A segment begins. @param previous the entry before its first one */
  begin(previous: EntryId): void {
    const { index, term } = this.#applied;
    if (previous.index > index)
      throw new Error(`the entries ${index + 1} to ${previous.index} before it are missing`);
    if (previous.index === index) checkTerm(previous, term);
  }

  mark(mark: AppliedMark): void {
    this.flush();
    this.#mark = mark;
  }

  /** @returns false if the entry is after the target, which is reached */
  take(entry: Entry): boolean {
    const { index, term } = this.#applied;
    const mark = this.#mark;
    if (mark === undefined) throw new Error('it does not begin with a mark');
    if (entry.index <= index) {
      if (entry.index === index) checkTerm(entry, term);
      if (this.#target.timeMs !== undefined && mark.timeMs > this.#target.timeMs && entry.index === index)
        throw new Error('the backup already has changes after that time');
      return true;
    }
    if (this.#isAfterTarget(entry, mark)) {
      this.flush();
      return false;
    }
    this.#batch.push(entry);
    const { revision } = this.#target;
    // Each entry makes at most one revision.
    const mayReach = revision !== undefined && this.#store.revision + this.#batch.length >= revision;
    if (mayReach || this.#batch.length === BATCH_ENTRIES || entry.index === mark.index) this.flush();
    return true;
  }

  #isAfterTarget(entry: Entry, mark: AppliedMark): boolean {
    const { revision, timeMs, index } = this.#target;
    if (revision !== undefined) return this.#store.revision >= revision;
    if (timeMs !== undefined) return mark.timeMs > timeMs;
    return index !== undefined && entry.index > index;
  }

  flush(): void {
    if (this.#batch.length === 0) return;
    for (let at = 0; at < this.#batch.length;)
      at += this.#applier.applyBatch(at === 0 ? this.#batch : this.#batch.slice(at));
    this.#entries += this.#batch.length;
    this.#batch = [];
    const mark = this.#mark;
    if (mark === undefined) return;
    this.#timeMs = mark.timeMs;
    const { revision, compactRevision } = this.#store;
    if (mark.index !== this.#applied.index) return;
    if (mark.revision !== revision || mark.compactRevision !== compactRevision)
      throw new Error(
        `after entry ${mark.index} the store has revision ${revision}, compacted at ${compactRevision}, but the cluster had ${mark.revision}, compacted at ${mark.compactRevision}`,
      );
  }

  result(isReached: boolean): Replayed {
    const { revision, compactRevision } = this.#store;
    const { index, term } = this.#applied;
    return {
      entries: this.#entries,
      revision,
      compactRevision,
      applied: { index, term },
      timeMs: this.#timeMs,
      isReached,
    };
  }
}

function checkTerm({ index, term }: EntryId, appliedTerm: number): void {
  if (term !== appliedTerm)
    throw new Error(`entry ${index} has term ${term}, but the store has applied one of term ${appliedTerm}`);
}
