import { describe, expect, it } from 'vitest';
import { MemoryStorage } from '../raft/memory-storage.ts';
import { Entry, EntryType } from '../wire/gen/raftpb.ts';
import { AppliedTail, openAppliedTail } from './applied-tail.ts';

const KEPT = 1000;

function entries(first: number, last: number, bytes = 100): Entry[] {
  return Array.from({ length: last - first + 1 }, (_, n) =>
    Entry.create({ type: EntryType.EntryNormal, index: first + n, term: 1, data: Buffer.alloc(bytes) }),
  );
}

function setup(maxBytes = 1 << 20): {
  tail: AppliedTail;
  clock: { ms: number };
  apply: (last: number, bytes?: number) => void;
} {
  const clock = { ms: 0 };
  const tail = new AppliedTail({
    clock: { now: () => clock.ms, wall: () => 5000 + clock.ms },
    maxBytes,
    maxAgeMs: KEPT,
    base: { index: 0, term: 0 },
  });
  const apply = (last: number, bytes?: number): void => {
    const news = entries(tail.last.index + 1, last, bytes);
    tail.applied(news, news.length, { revision: last * 10, compactRevision: -1 });
  };
  return { tail, clock, apply };
}

const shape = (tail: AppliedTail, after: number, maxBytes = 1 << 20): unknown =>
  tail
    .after(after, maxBytes)
    ?.map(({ mark, entries: held }) => [mark.index, mark.timeMs, held.map(({ index }) => index)]);

describe('the newest applied entries', () => {
  it('are in groups of the same moment, each with the state after its last entry', () => {
    const { tail, clock, apply } = setup();
    apply(2);
    clock.ms = 30;
    apply(3);
    clock.ms = 60;
    apply(4);
    expect(shape(tail, 0)).toEqual([
      [3, 5030, [1, 2, 3]],
      [4, 5060, [4]],
    ]);
    expect(tail.after(0, 1 << 20)?.[0]?.mark).toMatchObject({ revision: 30, compactRevision: -1 });
    expect(shape(tail, 1)).toEqual([
      [3, 5030, [2, 3]],
      [4, 5060, [4]],
    ]);
    expect(shape(tail, 4)).toEqual([]);
    expect(tail.after(5, 1)).toBeUndefined();
    expect([1, 4, 5].map((index) => tail.entryAt(index)?.index)).toEqual([1, 4, undefined]);
  });

  it('get no further entries in a group that was read', () => {
    const { tail, apply } = setup();
    apply(1);
    expect(shape(tail, 0)).toEqual([[1, 5000, [1]]]);
    apply(2);
    expect(shape(tail, 0)).toEqual([
      [1, 5000, [1]],
      [2, 5000, [2]],
    ]);
  });

  it('are read in parts of limited size, but at least one at a time', () => {
    const { tail, apply } = setup();
    apply(5, 1000);
    expect(shape(tail, 0, 2500)).toEqual([[5, 5000, [1, 2]]]);
    expect(shape(tail, 2, 10)).toEqual([[5, 5000, [3]]]);
  });

  it('are dropped when they are stored, old, or too many, and the entry before them is known', () => {
    const { tail, clock, apply } = setup(5000);
    apply(2);
    clock.ms = 100;
    apply(3);
    tail.stored(1);
    expect(tail.base).toEqual({ index: 0, term: 0 });
    tail.stored(2);
    expect(tail.base).toEqual({ index: 2, term: 1 });
    expect(tail.after(1, 1)).toBeUndefined();
    clock.ms = 100 + KEPT;
    apply(4);
    expect(tail.base.index).toBe(2);
    clock.ms += 100;
    apply(5);
    expect(tail.base.index).toBe(3);
    tail.keepOld(true);
    clock.ms += 5 * KEPT;
    apply(6);
    expect(tail.base.index).toBe(3);
    expect(tail.bytesAfter(3)).toBe(900);
    expect(tail.bytesAfter(5)).toBe(300);
    clock.ms += 100;
    apply(30, 50);
    expect(tail.base.index).toBe(30);
    expect(tail.bytesAfter(0)).toBe(0);
  });

  it('skip what was applied before, and are forgotten with a snapshot of the leader', () => {
    const { tail } = setup();
    const all = entries(1, 4);
    const state = { revision: 5, compactRevision: 2 };
    tail.applied(all, 2, state);
    tail.applied(all, 4, state);
    expect(shape(tail, 0)).toEqual([[4, 5000, [1, 2, 3, 4]]]);
    tail.reset({ index: 90, term: 3 });
    expect([tail.base, tail.last, tail.bytesAfter(0)]).toEqual([
      { index: 90, term: 3 },
      { index: 90, term: 3 },
      0,
    ]);
    tail.applied(entries(91, 91), 1, state);
    expect(shape(tail, 90)).toEqual([[91, 5000, [91]]]);
  });

  it('begin with those of the raft log that were applied before the start', () => {
    const memory = new MemoryStorage();
    memory.append(entries(1, 9));
    memory.compact(3);
    const backup = { log: { intervalMs: 5000, maxBytes: 1 << 20 } } as never;
    const clock = { now: () => 0, wall: () => 7 };
    const store = { revision: 44, compactRevision: 3 };
    const tail = openAppliedTail({ backup }, () => memory, { index: 8, term: 1 }, clock, store);
    expect(tail?.base).toEqual({ index: 3, term: 1 });
    expect(tail?.after(3, 1 << 20)?.map(({ mark }) => mark)).toEqual([{ index: 8, timeMs: 7, ...store }]);
    const ahead = openAppliedTail({ backup }, () => memory, { index: 2, term: 1 }, clock, store);
    expect(ahead?.base).toEqual({ index: 2, term: 1 });
    expect(
      openAppliedTail({ backup: undefined }, () => memory, { index: 8, term: 1 }, clock, store),
    ).toBeUndefined();
  });
});
