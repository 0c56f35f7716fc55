import { describe, expect, it } from 'vitest';
import type { LogContents } from '../ports/log-store.ts';
import { entrySize } from '../raft/entry-size.ts';
import { EntryType, type Entry } from '../wire/gen/raftpb.ts';
import { containsApplied, loadRaftLog } from './start-raft.ts';

const confState = { voters: [1n], learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false };
const entry = (index: number, term: number): Entry => ({
  type: EntryType.EntryNormal,
  index,
  term,
  data: undefined,
});

const contents = (...entries: Entry[]): LogContents => ({
  metadata: Buffer.alloc(0),
  hardState: { term: 3, vote: 0n, commit: 5 },
  snapshot: { index: 5, term: 2, confState },
  earlier: [],
  entries,
  repaired: undefined,
});

describe('a log contains the applied entry', () => {
  it('when it has the last applied entry, or the snapshot record covers it', () => {
    expect(containsApplied(contents(), { index: 5, term: 2 })).toBe(true);
    expect(containsApplied(contents(entry(6, 2), entry(7, 3)), { index: 5, term: 2 })).toBe(true);
    expect(containsApplied(contents(entry(6, 2), entry(7, 3)), { index: 7, term: 3 })).toBe(true);
  });

  it('but not when the log ends before it', () => {
    expect(containsApplied(contents(), { index: 6, term: 2 })).toBe(false);
    expect(containsApplied(contents(entry(6, 2)), { index: 7, term: 2 })).toBe(false);
  });

  // Only the indexes were compared, so uncommitted entries at the end of the log counted as committed.
  it('and not when the entry at that index has another term', () => {
    expect(containsApplied(contents(entry(6, 2), entry(7, 2)), { index: 7, term: 3 })).toBe(false);
    expect(containsApplied(contents(entry(6, 3), entry(7, 3)), { index: 7, term: 2 })).toBe(false);
  });

  it('by the index only when the engine does not know the term', () => {
    expect(containsApplied(contents(entry(6, 2)), { index: 6, term: 0 })).toBe(true);
    expect(containsApplied(contents(entry(6, 2)), { index: 7, term: 0 })).toBe(false);
  });
});

describe('the log of a restarted member', () => {
  const several = { ...confState, voters: [1n, 2n, 3n] };
  const applied = { index: 6, term: 2, confState: several };
  const found = (): LogContents => ({
    ...contents(entry(6, 2), entry(7, 3)),
    snapshot: { index: 5, term: 2, confState: several },
    earlier: [entry(2, 1), entry(3, 1), entry(4, 2), entry(5, 2)],
  });

  // A leader had only the entries after its last release, so that members that lagged needed a snapshot.
  it('has earlier entries for members that lag, and is still restored from its snapshot record', () => {
    const { memory } = loadRaftLog(found(), applied, 1000);
    expect([memory.firstIndex(), memory.lastIndex(), memory.term(2), memory.term(3)]).toEqual([3, 7, 1, 1]);
    expect(memory.entries(3, 8, Infinity)).toHaveLength(5);
    expect(memory.snapshot()).toMatchObject({ metadata: { index: 5, term: 2, confState: several } });
    expect(memory.initialState()).toMatchObject({ confState: several });
  });

  it('has only as many of them as a leader may keep', () => {
    const size = 2 * entrySize(entry(5, 2));
    expect(loadRaftLog(found(), applied, size).memory.firstIndex()).toBe(5);
    expect(loadRaftLog(found(), applied, 0).memory.firstIndex()).toBe(6);
  });

  it('has none of them if nobody else can need them', () => {
    const alone = { ...found(), snapshot: { index: 5, term: 2, confState } };
    expect(loadRaftLog(alone, { ...applied, confState }, 1000).memory.firstIndex()).toBe(6);
  });
});
