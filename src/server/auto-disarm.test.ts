import { expect, it } from 'vitest';
import { headerOnly } from '../apply/results.ts';
import { errors } from '../wire/errors.ts';
import { AlarmMember, AlarmRequest, AlarmType, CompactionRequest } from '../wire/gen/etcdserverpb.ts';
import { AutoDisarm, type DisarmingMember } from './auto-disarm.ts';
import { RaftRequestField } from './raft-request.ts';

const silent = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** A full member with a manual clock. A compaction removes everything before its revision, a byte per revision. */
class FullMember {
  now = 0;
  isLeader = true;
  refuses = false;
  readonly done: string[] = [];
  readonly store = { revision: 100, sizeBytes: 100, compactRevision: 0 };
  readonly quota = { limitBytes: 100 };
  readonly metrics = { server: { autoDisarms: 0, autoDisarmCompactions: 0 } };
  readonly clock = { now: () => this.now, wall: () => this.now };
  #raised = [AlarmMember.create({ memberId: 7n, alarm: AlarmType.NOSPACE })];
  #task: (() => void) | undefined;
  readonly alarms = { get: () => this.#raised };
  readonly scheduler: DisarmingMember['scheduler'] = {
    soon: (task) => task(),
    after: () => () => undefined,
    every: (_interval, task) => {
      this.#task = task;
      return () => (this.#task = undefined);
    },
  };

  propose: DisarmingMember['propose'] = (field, body, _auth, waiter) => {
    if (this.refuses) {
      waiter.failed(errors.Timeout);
      return;
    }
    if (field === RaftRequestField.compaction) {
      const { revision } = CompactionRequest.decode(body);
      this.done.push(`compact ${revision}`);
      this.store.sizeBytes -= revision - this.store.compactRevision;
      this.store.compactRevision = revision;
    } else {
      this.done.push(`disarm ${AlarmRequest.decode(body).memberId}`);
      this.#raised = [];
    }
    waiter.settled(headerOnly(this.store.revision));
  };

  raise(): void {
    this.#raised = [AlarmMember.create({ memberId: 8n, alarm: AlarmType.NOSPACE })];
  }

  run(seconds: number): void {
    for (let second = 0; second < seconds; second += 1) {
      this.now += 1000;
      this.#task?.();
    }
  }
}

function start(member: FullMember, retained: () => number | undefined): AutoDisarm {
  return new AutoDisarm({ member, belowPercent: 80, retained, logger: silent });
}

it('compacts to the retention, and disarms when the store is small enough', () => {
  const member = new FullMember();
  start(member, () => 50);
  member.run(5);
  expect(member.done).toEqual(['compact 50', 'disarm 7']);
  expect(member.metrics.server).toEqual({ autoDisarms: 1, autoDisarmCompactions: 1 });
});

it('compacts no further than the retention, and does not disarm above the mark', () => {
  const member = new FullMember();
  let retained: number | undefined = 20;
  start(member, () => retained);
  member.run(5);
  // 80 bytes are not below 80 % of 100.
  expect(member.done).toEqual(['compact 20']);
  retained = 21;
  member.run(5);
  expect(member.done).toEqual(['compact 20', 'compact 21', 'disarm 7']);
});

it('does not compact without a retention, but disarms after others have made room', () => {
  const member = new FullMember();
  start(member, () => undefined);
  member.run(5);
  expect(member.done).toEqual([]);
  member.store.sizeBytes = 10;
  member.run(1);
  expect(member.done).toEqual(['disarm 7']);
});

it('does nothing on a follower, without an alarm, or after it was stopped', () => {
  const member = new FullMember();
  member.isLeader = false;
  const task = start(member, () => 50);
  member.run(5);
  expect(member.done).toEqual([]);
  member.isLeader = true;
  task.stop();
  member.run(5);
  expect(member.done).toEqual([]);
});

it('repeats a failed proposal', () => {
  const member = new FullMember();
  member.refuses = true;
  start(member, () => 50);
  member.run(3);
  expect(member.done).toEqual([]);
  member.refuses = false;
  member.run(3);
  expect(member.done).toEqual(['compact 50', 'disarm 7']);
});

it('disarms at most once a minute, when a member with a smaller quota raises the alarm again', () => {
  const member = new FullMember();
  start(member, () => 50);
  member.run(5);
  member.raise();
  member.run(50);
  expect(member.done).toEqual(['compact 50', 'disarm 7']);
  member.run(20);
  expect(member.done).toEqual(['compact 50', 'disarm 7', 'disarm 8']);
});
