import type { Logger } from '../ports/logger.ts';
import { AlarmRequest, AlarmRequestAlarmAction, AlarmType } from '../wire/gen/etcdserverpb.ts';
import type { Member } from './member.ts';
import { RaftRequestField } from './raft-request.ts';

/** Raises the NOSPACE alarm for the cluster when a request exceeds the quota of this member's store. */
export class SpaceAlarm {
  readonly #member: Member;
  readonly #logger: Logger;
  #raising: (() => void)[] | undefined;

  constructor(member: Member, logger: Logger) {
    this.#member = member;
    this.#logger = logger;
  }

  /** Calls back when the alarm is raised or the attempt has failed; at once if it is already raised. */
  raise(then: () => void): void {
    const { alarms, quota, store, identity } = this.#member;
    if (alarms.isRaised(AlarmType.NOSPACE)) {
      then();
      return;
    }
    if (this.#raising !== undefined) {
      this.#raising.push(then);
      return;
    }
    const waiting = [then];
    this.#raising = waiting;
    this.#logger.warn('database space exceeded; raising the NOSPACE alarm', {
      'quota-size-bytes': quota.limitBytes,
      'db-size-bytes': store.sizeBytes,
    });
    const request = AlarmRequest.encode({
      action: AlarmRequestAlarmAction.ACTIVATE,
      memberId: identity.memberId,
      alarm: AlarmType.NOSPACE,
    });
    const done = (): void => {
      this.#raising = undefined;
      for (const each of waiting) each();
    };
    this.#member.propose(RaftRequestField.alarm, request, undefined, { settled: done, failed: done });
  }
}
