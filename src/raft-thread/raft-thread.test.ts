import { consensusCases } from '../server/consensus.cases.ts';
import { RaftHost } from './raft-host.ts';
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
