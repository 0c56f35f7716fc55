import { expect, it } from 'vitest';
import { headerOnly } from '../apply/results.ts';
import type { AutoCompaction } from '../config/config.ts';
import { errors } from '../wire/errors.ts';
import { CompactionRequest } from '../wire/gen/etcdserverpb.ts';
import { AutoCompactor, type CompactedMember } from './auto-compaction.ts';

const silent = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};
const MINUTE_MS = 60_000;

/** A member with a manual clock that writes one revision per minute. */
class FakeMember {
  now = 0;
  isLeader = true;
  refuses = false;
  readonly compactions: [minute: number, revision: number][] = [];
  readonly store = { revision: 1 };
  readonly clock = { now: () => this.now, wall: () => this.now };
  readonly scheduler: CompactedMember['scheduler'] = {
    soon: (task) => task(),
    after: (delayMs, task) => {
      const due = { at: this.now + delayMs, task };
      this.#due.push(due);
      return () => this.#due.splice(this.#due.indexOf(due), 1);
    },
    every: () => () => undefined,
  };
  readonly #due: { at: number; task: () => void }[] = [];

  propose: CompactedMember['propose'] = (_field, body, _auth, waiter) => {
    const { revision } = CompactionRequest.decode(body);
    this.compactions.push([this.now / MINUTE_MS, revision]);
    if (this.refuses) waiter.failed(errors.Timeout);
    else waiter.settled(headerOnly(this.store.revision));
  };

  /** Advances the clock by some minutes. */
  run(minutes: number): void {
    for (let end = this.now + minutes * MINUTE_MS; this.now < end;) {
      this.now += MINUTE_MS;
      this.store.revision += 1;
      for (const due of this.#due.filter(({ at }) => at <= this.now)) {
        this.#due.splice(this.#due.indexOf(due), 1);
        due.task();
      }
    }
  }
}

function start(member: FakeMember, settings: Exclude<AutoCompaction, { mode: 'off' }>): AutoCompactor {
  return new AutoCompactor(member, settings, silent);
}

it('periodic: the first compaction is one whole period after the start, later ones are hourly', () => {
  const member = new FakeMember();
  const compactor = start(member, { mode: 'periodic', retentionMs: 120 * MINUTE_MS });
  member.run(4 * 60);
  // As etcd: compacts history older than two hours, plus up to one sample.
  expect(member.compactions).toEqual([
    [120, 1],
    [180, 55],
    [240, 115],
  ]);
  compactor.stop();
  member.run(120);
  expect(member.compactions).toHaveLength(3);
});

it('periodic: a failure is retried after a tenth of the interval; a follower does not compact', () => {
  const member = new FakeMember();
  start(member, { mode: 'periodic', retentionMs: 60 * MINUTE_MS });
  member.refuses = true;
  member.run(72);
  expect(member.compactions).toEqual([
    [60, 1],
    [66, 1],
    [72, 7],
  ]);
  member.refuses = false;
  member.isLeader = false;
  member.run(60);
  expect(member.compactions).toHaveLength(3);
  member.isLeader = true;
  member.run(6);
  expect(member.compactions.at(-1)).toEqual([138, 73]);
});

it('revision: keeps a number of revisions and checks every five minutes', () => {
  const member = new FakeMember();
  start(member, { mode: 'revision', retentionRevisions: 8 });
  member.run(5);
  expect(member.compactions).toEqual([]);
  member.run(10);
  expect(member.compactions).toEqual([
    [10, 3],
    [15, 8],
  ]);
});
