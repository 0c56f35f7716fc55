import { expect, it } from 'vitest';
import { ApplyCounts } from '../apply/apply-counts.ts';
import { Metrics } from '../metrics/metrics.ts';
import { EntryType } from '../wire/gen/raftpb.ts';
import { Durations } from './durations.ts';
import { RaftRequestField } from './raft-request.ts';

function setUp() {
  const metrics = new Metrics();
  const warnings: (object | undefined)[] = [];
  const ignore = (): void => undefined;
  const logger = {
    debug: ignore,
    info: ignore,
    error: ignore,
    warn: (_message: string, fields?: object) => void warnings.push(fields),
  };
  let nowMs = 1_000;
  const durations = new Durations(metrics, {
    config: { warningApplyDurationMs: 100 },
    logger: () => logger,
    clock: { now: () => nowMs, wall: () => nowMs },
    randomInt: () => 0,
  });
  const apply = (tookMs: number, counts: ApplyCounts): void => {
    durations.applyBegan();
    nowMs += tookMs;
    durations.applied(entries.length, entries[0]?.index, counts);
  };
  const entries = Array.from({ length: 4 }, (_, at) => ({
    type: EntryType.EntryNormal,
    term: 1,
    index: at + 7,
    data: undefined,
  }));
  return { metrics, warnings, durations, apply };
}

it('the time of a batch is divided among its requests', () => {
  const { metrics, warnings, apply } = setUp();
  const counts = new ApplyCounts();
  for (let at = 0; at < 3; at += 1) counts.countPut(false);
  counts.countPut(true);
  apply(40, counts);
  const found = [...metrics.server.applyDuration.entries()].map(([labels, { count, sum }]) => [
    labels.join(' '),
    count,
    Number(sum.toFixed(6)),
  ]);
  expect(found).toEqual([
    ['v3 Put true', 3, 0.03],
    ['v3 Put false', 1, 0.01],
  ]);
  expect(warnings).toEqual([]);
});

it('a slow batch is logged', () => {
  const { metrics, warnings, apply } = setUp();
  apply(250, new ApplyCounts());
  expect(metrics.server.slowApplies).toBe(1);
  expect(warnings).toEqual([
    { took: '250.000ms', 'expected-duration': '100ms', entries: 4, 'first-index': 7 },
  ]);
});

it('requests are counted by kind and outcome', () => {
  const { metrics, durations } = setUp();
  durations.proposal(RaftRequestField.leaseGrant, 0.5, true);
  durations.proposal(RaftRequestField.leaseGrant, 0.5, false);
  durations.read('Range', 0.001, true);
  expect([...metrics.server.requestDuration.entries()].map(([labels]) => labels.join(' '))).toEqual([
    'LeaseGrant true',
    'LeaseGrant false',
    'Range true',
  ]);
});
