import { isError } from '../apply/results.ts';
import type { AutoCompaction } from '../config/config.ts';
import type { Logger } from '../ports/logger.ts';
import { CompactionRequest } from '../wire/gen/etcdserverpb.ts';
import { errors } from '../wire/errors.ts';
import type { Member } from './member.ts';
import { RaftRequestField } from './raft-request.ts';

const HOUR_MS = 3_600_000;
/** As etcd: the history is sampled ten times in each interval. */
const SAMPLES_PER_INTERVAL = 10;
const REVISION_INTERVAL_MS = 300_000;

/** Compacts by itself, on the leader: history older than a time, or beyond a number of revisions. */
export class AutoCompactor {
  readonly #member: Member;
  readonly #logger: Logger;
  readonly #stop: () => void;
  /** Periodic mode: revisions at the last samples, oldest first. */
  #samples: number[] = [];
  #lastCompactedMs: number;
  #lastRevision = 0;

  constructor(member: Member, settings: Exclude<AutoCompaction, { mode: 'off' }>, logger: Logger) {
    this.#member = member;
    this.#logger = logger;
    this.#lastCompactedMs = member.clock.now();
    if (settings.mode === 'revision') {
      this.#stop = member.scheduler.every(REVISION_INTERVAL_MS, () =>
        this.#compact(member.store.revision - settings.retentionRevisions),
      );
      return;
    }
    const { retentionMs } = settings;
    const intervalMs = Math.min(retentionMs, HOUR_MS);
    const sampleMs = intervalMs / SAMPLES_PER_INTERVAL;
    const kept = Math.floor(retentionMs / sampleMs) + 1;
    this.#sample(kept);
    this.#stop = member.scheduler.every(sampleMs, () => {
      this.#sample(kept);
      if (member.clock.now() - this.#lastCompactedMs < intervalMs) return;
      if (this.#samples.length < kept) return;
      this.#lastCompactedMs = member.clock.now();
      this.#compact(this.#samples[0] ?? 0);
    });
  }

  stop(): void {
    this.#stop();
  }

  #sample(kept: number): void {
    this.#samples.push(this.#member.store.revision);
    if (this.#samples.length > kept) this.#samples = this.#samples.slice(-kept);
  }

  #compact(revision: number): void {
    const member = this.#member;
    if (!member.isLeader || revision <= 0 || revision === this.#lastRevision) return;
    this.#logger.info('starting auto compaction', { revision });
    const failed = (error: Error): void =>
      this.#logger.warn('failed auto compaction', { revision, error: error.message });
    const body = CompactionRequest.encode({ revision, physical: false });
    member.propose(RaftRequestField.compaction, body, undefined, {
      settled: (result) => {
        if (isError(result) && result !== errors.Compacted) {
          failed(result);
          return;
        }
        this.#lastRevision = revision;
        this.#logger.info('completed auto compaction', { revision });
      },
      failed,
    });
  }
}
