import { describe, expect, it } from 'vitest';
import type { LogContents } from '../ports/log-store.ts';
import { EntryType, type Entry } from '../wire/gen/raftpb.ts';
import { containsApplied } from './start-raft.ts';

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
