import { expect, it } from 'vitest';
import { type Entry, EntryType, type HardState } from '../raft/types.ts';
import { consensusCases } from '../server/consensus.cases.ts';
import { BatchWriter } from '../serving/batch.ts';
import { writeEntries } from './fields.ts';
import { RaftHost } from './raft-host.ts';
import { readRecords } from './raft-link.ts';
import { FromRaft, ToRaft } from './records.ts';
import { RemoteRaft } from './remote-raft.ts';

const silent = { debug() {}, info() {}, warn() {}, error() {} };

consensusCases('raft in a thread of its own', ({ node, memory, log, hooks, later, confState }) => {
  const scheduler = {
    soon: later,
    after: (_delayMs: number, task: () => void) => {
      later(task);
      return () => undefined;
    },
    every: () => () => undefined,
  };
  const host = new RaftHost({
    node,
    memory,
    log,
    scheduler,
    catchupBytes: 0,
    logger: silent,
    post: (batch) => later(() => remote.receive(batch)),
  });
  const remote = new RemoteRaft({
    id: node.id,
    start: {
      hardState: { term: node.term, vote: node.vote, commit: node.committed },
      confState,
      applied: node.applied,
      firstIndex: memory.firstIndex(),
    },
    hooks,
    scheduler,
    now: () => 0,
    readRetryMs: 500,
    readNonce: Buffer.alloc(8),
    post: (batch) => later(() => host.receive(batch)),
  });
  return remote;
});

const START: HardState = { term: 1, vote: 1n, commit: 0 };
const ALONE = { voters: [1n], learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false };

it('applies entries together that were committed one by one, and tells raft once', () => {
  const tasks: (() => void)[] = [];
  const late: (() => void)[] = [];
  const slices: number[][] = [];
  const told: number[] = [];
  const remote = new RemoteRaft({
    id: 1n,
    start: { hardState: START, confState: ALONE, applied: 0, firstIndex: 1 },
    hooks: {
      apply: (entries) => slices.push(entries.map(({ index }) => index)) && entries.length,
      send: () => undefined,
      install: () => undefined,
      canRead: () => true,
      leadershipChanged: () => undefined,
      dropped: () => undefined,
      turned: () => undefined,
    },
    scheduler: {
      soon: (task) => void tasks.push(task),
      after: (_delayMs, task) => {
        late.push(task);
        return () => undefined;
      },
      every: () => () => undefined,
    },
    now: () => 0,
    readRetryMs: 500,
    readNonce: Buffer.alloc(8),
    post: (batch) =>
      readRecords(batch, (kind, reader) => {
        expect(kind).toBe(ToRaft.APPLIED);
        told.push(reader.u32());
      }),
  });
  const out = new BatchWriter();
  for (const index of [1, 2, 3]) {
    const entry: Entry = { type: EntryType.EntryNormal, term: 1, index, data: undefined };
    out.u8(FromRaft.COMMITTED);
    writeEntries(out, [entry]);
  }
  remote.receive(out.take());
  for (const task of tasks.splice(0)) task();
  expect(slices).toEqual([[1, 2, 3]]);
  expect(remote.applied).toBe(3);
  for (const task of late.splice(0)) task();
  expect(told).toEqual([3]);
});
