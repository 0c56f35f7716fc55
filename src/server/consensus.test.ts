import { consensusCases } from './consensus.cases.ts';
import { RaftLoop } from './raft-loop.ts';

consensusCases('raft in the thread of the member', ({ node, memory, log, hooks, later }) => {
  return new RaftLoop({
    node,
    memory,
    log,
    hooks,
    scheduler: { soon: later, every: () => () => undefined },
    readRetryMs: 500,
    readNonce: Buffer.alloc(8),
    now: () => 0,
    catchupBytes: 0,
  });
});
