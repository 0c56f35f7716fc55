import { describe, expect, it } from 'vitest';
import type { LogContents } from '../ports/log-store.ts';
import { EntryType, type Entry } from '../wire/gen/raftpb.ts';
import { leadsTo } from './start-raft.ts';

const confState = { voters: [1n], learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false };
const entry = (index: number, term: number): Entry => ({
  ...{ type: EntryType.EntryNormal, index, term },
  data: undefined,
});

const contents = (...entries: Entry[]): LogContents => ({
  metadata: Buffer.alloc(0),
  hardState: { term: 3, vote: 0n, commit: 5 },
  mark: { index: 5, term: 2, confState },
  entries,
  repaired: undefined,
});

describe('a log leads to what the engine holds', () => {
  it('where it has the last entry applied, or its newest mark does', () => {
    expect(leadsTo(contents(), { index: 5, term: 2 })).toBe(true);
    expect(leadsTo(contents(entry(6, 2), entry(7, 3)), { index: 5, term: 2 })).toBe(true);
    expect(leadsTo(contents(entry(6, 2), entry(7, 3)), { index: 7, term: 3 })).toBe(true);
  });

  it('but not where it ends before it', () => {
    expect(leadsTo(contents(), { index: 6, term: 2 })).toBe(false);
    expect(leadsTo(contents(entry(6, 2)), { index: 7, term: 2 })).toBe(false);
  });

  // Only the indexes were compared: the entries of the own tail then counted as committed.
  it('and not where it has another entry there, of whatever term', () => {
    expect(leadsTo(contents(entry(6, 2), entry(7, 2)), { index: 7, term: 3 })).toBe(false);
    expect(leadsTo(contents(entry(6, 3), entry(7, 3)), { index: 7, term: 2 })).toBe(false);
  });

  it('as far as the indexes say where the engine does not know the term', () => {
    expect(leadsTo(contents(entry(6, 2)), { index: 6, term: 0 })).toBe(true);
    expect(leadsTo(contents(entry(6, 2)), { index: 7, term: 0 })).toBe(false);
  });
});
