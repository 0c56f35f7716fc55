import { isError } from '../apply/results.ts';
import type { AutoCompaction } from '../config/config.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { Scheduler } from '../ports/scheduler.ts';
import { CompactionRequest } from '../wire/gen/etcdserverpb.ts';
import { errors } from '../wire/errors.ts';
import type { ResultWaiter } from './proposals.ts';
import { RaftRequestField } from './raft-request.ts';

const HOUR_MS = 3_600_000;
/** As etcd: the revision is sampled ten times per interval. A failed compaction is retried after one sample. */
const SAMPLES_PER_INTERVAL = 10;
const REVISION_INTERVAL_MS = 300_000;

/** The part of a member that auto compaction uses. */
export interface CompactedMember {
  readonly isLeader: boolean;
  readonly store: { readonly revision: number };
  readonly scheduler: Scheduler;
  readonly clock: Clock;
  propose(field: RaftRequestField, body: Buffer, auth: undefined, waiter: ResultWaiter): void;
}

interface Policy {
  readonly name: string;
  /** Time between two calls of `next`. */
  readonly pauseMs: number;
  /** Returns the revision to compact now, or undefined. */
  next(): number | undefined;
  compacted(revision: number): void;
  /** The revision before which nothing is kept now; undefined while everything is kept. */
  retained(): number | undefined;
}

/** Automatic compaction on the leader: keeps the history of a given time, or a given number of revisions. */
export class AutoCompactor {
  readonly #member: CompactedMember;
  readonly #policy: Policy;
  readonly #logger: Logger;
  #cancel: () => void = () => undefined;
  #stopped = false;

  constructor(member: CompactedMember, settings: Exclude<AutoCompaction, { mode: 'off' }>, logger: Logger) {
    this.#member = member;
    this.#logger = logger;
    this.#policy =
      settings.mode === 'periodic'
        ? new PeriodicPolicy(member, settings.retentionMs)
        : revisionPolicy(member, settings.retentionRevisions);
    this.#wait();
  }

  /** The revision before which the retention keeps nothing now; undefined while it keeps everything. */
  retained(): number | undefined {
    return this.#policy.retained();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  /** As in etcd, the pause starts at the end of a compaction. */
  #wait(): void {
    if (this.#stopped) return;
    this.#cancel = this.#member.scheduler.after(this.#policy.pauseMs, () => {
      const revision = this.#policy.next();
      if (revision === undefined) this.#wait();
      else this.#compact(revision);
    });
  }

  #compact(revision: number): void {
    const { name } = this.#policy;
    const fields = { revision };
    const failed = (error: Error): void => {
      this.#logger.warn(`failed auto ${name} compaction`, { ...fields, error: error.message });
      this.#wait();
    };
    this.#logger.info(`starting auto ${name} compaction`, fields);
    const body = CompactionRequest.encode({ revision, physical: false });
    this.#member.propose(RaftRequestField.compaction, body, undefined, {
      settled: (result) => {
        if (isError(result) && result !== errors.Compacted) {
          failed(result);
          return;
        }
        this.#policy.compacted(revision);
        this.#logger.info(`completed auto ${name} compaction`, fields);
        this.#wait();
      },
      failed,
    });
  }
}

/** Keeps the history of the last `retentionMs`. The first compaction is that time after the start. */
class PeriodicPolicy implements Policy {
  readonly name = 'periodic';
  readonly pauseMs: number;
  readonly #member: CompactedMember;
  readonly #intervalMs: number;
  readonly #kept: number;
  /** Time from the last compaction to the next one. */
  #dueMs: number;
  /** The sampled revisions, oldest first. */
  #samples: number[];
  #lastMs: number;
  #lastRevision = 0;

  constructor(member: CompactedMember, retentionMs: number) {
    this.#member = member;
    this.#intervalMs = Math.min(retentionMs, HOUR_MS);
    this.pauseMs = this.#intervalMs / SAMPLES_PER_INTERVAL;
    this.#kept = Math.floor(retentionMs / this.pauseMs) + 1;
    this.#dueMs = retentionMs;
    this.#samples = [member.store.revision];
    this.#lastMs = member.clock.now();
  }

  next(): number | undefined {
    const [oldest = 0] = this.#samples;
    this.#samples.push(this.#member.store.revision);
    if (this.#samples.length > this.#kept) this.#samples.shift();
    // A timer may fire slightly early, but not by half a pause.
    const isDue = this.#member.clock.now() - this.#lastMs >= this.#dueMs - this.pauseMs / 2;
    if (!this.#member.isLeader || !isDue || oldest === this.#lastRevision) return undefined;
    this.#dueMs = this.#intervalMs;
    return oldest;
  }

  /** Before a whole period has passed, older samples are missing. */
  retained(): number | undefined {
    return this.#samples.length < this.#kept ? undefined : this.#samples[0];
  }

  compacted(revision: number): void {
    this.#lastRevision = revision;
    this.#lastMs = this.#member.clock.now();
  }
}

/** Keeps the last `retention` revisions. */
function revisionPolicy(member: CompactedMember, retention: number): Policy {
  let last = 0;
  return {
    name: 'revision',
    pauseMs: REVISION_INTERVAL_MS,
    next: () => {
      const revision = member.store.revision - retention;
      return !member.isLeader || revision <= 0 || revision === last ? undefined : revision;
    },
    compacted: (revision) => {
      last = revision;
    },
    retained: () => {
      const revision = member.store.revision - retention;
      return revision > 0 ? revision : undefined;
    },
  };
}
