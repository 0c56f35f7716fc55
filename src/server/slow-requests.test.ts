import { expect, it } from 'vitest';
import { LogTime } from '../ports/logger.ts';
import { newReadNonce, ReadQueue } from './read-queue.ts';
import { SlowRequests } from './slow-requests.ts';

function setUp() {
  const lines: (object | undefined)[] = [];
  const ignore = (): void => undefined;
  const info = (message: string, fields?: object): void => void lines.push({ message, ...fields });
  const logger = { debug: ignore, info, warn: ignore, error: ignore };
  const time = { nowMs: 5_000 };
  const slow = new SlowRequests(logger, {
    clock: { now: () => time.nowMs, wall: () => Date.UTC(2026, 0, 2, 3, 4, 5) + time.nowMs },
    randomInt: () => 77,
  });
  return { lines, slow, time };
}

const request = {
  operation: 'put',
  detail: [
    ['key', Buffer.from('a key')],
    ['req_size', 12],
  ],
  startedMs: 4_000,
} as const;

it("a slow request is written as etcd's line, with the steps that took long", () => {
  const { lines, slow } = setUp();
  slow.report({
    ...request,
    endedMs: 4_250.5,
    steps: [
      ['first', 4_020],
      ['second', 4_240.25],
      ['third', 4_250.5],
    ],
  });
  expect(lines).toEqual([
    {
      message: 'trace',
      trace_id: 77,
      operation: 'put',
      detail: '{key:a key; req_size:12; }',
      duration: '250.5ms',
      start: new LogTime(Date.UTC(2026, 0, 2, 3, 4, 9)),
      end: new LogTime(Date.UTC(2026, 0, 2, 3, 4, 9) + 250.5),
      steps: ["'second'  (duration: 220.25ms)"],
      step_count: 1,
    },
  ]);
});

it('a quick request is not logged', () => {
  const { lines, slow } = setUp();
  slow.report({ ...request, endedMs: 4_100, steps: [['first', 4_100]] });
  slow.reportAllSteps({ ...request, endedMs: 4_100, steps: [['first', 4_100]] });
  expect(lines).toEqual([]);
});

it('a very long key is cut', () => {
  const { lines, slow } = setUp();
  slow.report({ ...request, detail: [['key', Buffer.alloc(1_000_000, 'a')]], endedMs: 4_200, steps: [] });
  expect(lines).toMatchObject([{ detail: `{key:${'a'.repeat(4096)}...; }`, steps: [], step_count: 0 }]);
});

it('linearizable reads that wait long for ReadIndex or for entries to be applied are logged once per batch', () => {
  const { lines, slow, time } = setUp();
  const queue = new ReadQueue(
    newReadNonce(() => 1),
    slow,
  );
  const waiter = { readable: () => undefined, failed: () => undefined };
  const quick = () => {
    queue.add(waiter, 10_000);
    queue.confirmed(queue.ask(time.nowMs), 7, 7);
    queue.release(7);
  };
  quick();
  queue.add(waiter, 10_000);
  queue.add(waiter, 10_000);
  const context = queue.ask(time.nowMs);
  time.nowMs += 150;
  queue.ticked();
  queue.confirmed(context, 9, 8);
  time.nowMs += 50;
  queue.release(9);
  quick();
  expect(lines).toMatchObject([
    {
      operation: 'linearizableReadLoop',
      detail: '{readStateIndex:9; appliedIndex:8; }',
      duration: '200ms',
      steps: [
        "'read index received'  (duration: 150ms)",
        "'applied index is now lower than readState.Index'  (duration: 50ms)",
      ],
    },
  ]);
});
