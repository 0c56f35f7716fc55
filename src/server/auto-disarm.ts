import { isError } from '../apply/results.ts';
import type { AlarmStore } from '../apply/alarms.ts';
import type { Quota } from '../apply/quota.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { Scheduler } from '../ports/scheduler.ts';
import { hex } from '../lib/text.ts';
import {
  AlarmRequest,
  AlarmRequestAlarmAction,
  AlarmType,
  CompactionRequest,
} from '../wire/gen/etcdserverpb.ts';
import { errors } from '../wire/errors.ts';
import type { ResultWaiter } from './proposals.ts';
import { RaftRequestField } from './raft-request.ts';

const CHECK_MS = 1_000;
/**
 * Minimum time between two times that this leader disarms. A member with a smaller quota may raise the alarm again at
 * once, and each alarm is a write of the cluster.
 */
const REST_MS = 60_000;

/** The part of a member that is used here. */
export interface DisarmingMember {
  readonly isLeader: boolean;
  readonly store: { readonly revision: number; readonly sizeBytes: number; readonly compactRevision: number };
  readonly quota: Pick<Quota, 'limitBytes'>;
  readonly alarms: Pick<AlarmStore, 'get'>;
  readonly scheduler: Scheduler;
  readonly clock: Clock;
  readonly metrics: { readonly server: Pick<Metrics['server'], 'autoDisarms' | 'autoDisarmCompactions'> };
  propose(field: RaftRequestField, body: Buffer, auth: undefined, waiter: ResultWaiter): void;
}

export interface AutoDisarmOptions {
  readonly member: DisarmingMember;
  /** Percent of the quota. Alarms are disarmed when the store is smaller. */
  readonly belowPercent: number;
  /** The revision before which the configured retention keeps nothing; undefined if it keeps everything. */
  readonly retained: () => number | undefined;
  readonly logger: Logger;
}

/**
 * On the leader, while the NOSPACE alarm is raised: compacts to the configured retention, and disarms the alarm when the
 * store is small enough. Both are proposals like those of an operator.
 */
export class AutoDisarm {
  readonly #options: AutoDisarmOptions;
  readonly #cancel: () => void;
  #busy = false;
  #restUntilMs = -Infinity;

  constructor(options: AutoDisarmOptions) {
    this.#options = options;
    this.#cancel = options.member.scheduler.every(CHECK_MS, () => this.#check());
  }

  stop(): void {
    this.#cancel();
  }

  #check(): void {
    const { member, belowPercent, retained } = this.#options;
    const { store, quota, clock } = member;
    if (!member.isLeader || this.#busy) return;
    const raised = member.alarms.get(AlarmType.NOSPACE);
    if (raised.length === 0) return;
    const isSmall = quota.limitBytes < 0 || store.sizeBytes * 100 < quota.limitBytes * belowPercent;
    if (isSmall) {
      if (clock.now() >= this.#restUntilMs) for (const { memberId } of raised) this.#disarm(memberId);
      return;
    }
    const revision = retained();
    if (revision !== undefined && revision > store.compactRevision) this.#compact(revision);
  }

  #compact(revision: number): void {
    const { member, logger } = this.#options;
    logger.info('compacting because of the NOSPACE alarm', {
      revision,
      'db-size-bytes': member.store.sizeBytes,
    });
    const body = CompactionRequest.encode({ revision, physical: false });
    this.#propose(RaftRequestField.compaction, body, 'failed to compact because of the NOSPACE alarm', () => {
      member.metrics.server.autoDisarmCompactions += 1;
    });
  }

  #disarm(memberId: bigint): void {
    const { member, logger } = this.#options;
    const fields = { 'member-id': hex(memberId), 'db-size-bytes': member.store.sizeBytes };
    this.#restUntilMs = member.clock.now() + REST_MS;
    const body = AlarmRequest.encode({
      action: AlarmRequestAlarmAction.DEACTIVATE,
      memberId,
      alarm: AlarmType.NOSPACE,
    });
    this.#propose(RaftRequestField.alarm, body, 'failed to disarm the NOSPACE alarm', () => {
      member.metrics.server.autoDisarms += 1;
      logger.warn('disarmed the NOSPACE alarm', { ...fields, 'quota-size-bytes': member.quota.limitBytes });
    });
  }

  /** A failed proposal is repeated at a later check. */
  #propose(field: RaftRequestField, body: Buffer, failure: string, done: () => void): void {
    const { member, logger } = this.#options;
    const failed = (error: Error): void => {
      this.#busy = false;
      logger.warn(failure, { error: error.message });
    };
    this.#busy = true;
    member.propose(field, body, undefined, {
      settled: (result) => {
        if (isError(result) && result !== errors.Compacted) {
          failed(result);
          return;
        }
        this.#busy = false;
        done();
      },
      failed,
    });
  }
}
