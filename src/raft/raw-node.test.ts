import { expect, it } from 'vitest';
import type { RaftConfig } from './config.ts';
import { MemoryStorage } from './memory-storage.ts';
import { confStateOf, newNode, nodeOn } from './testing/new-node.ts';
import { LocalAppendThread, LocalApplyThread, Role, StepError } from './types.ts';
import type { Message } from './types.ts';

/** A loop like the server's. Writes wait until `sync` is called. */
function asyncLoop(options: Partial<RaftConfig> = {}, voters: bigint[] = [1n], term = 0) {
  const { node, storage } = newNode({ asyncStorageWrites: true, ...options }, voters, term);
  const writes: Message[] = [];
  const applied: string[] = [];
  const sent: Message[] = [];
  const deliver = (message: Message): void => {
    if (message.to === node.id) node.step(message);
    else sent.push(message);
  };
  const run = (): void => {
    while (node.hasReady()) {
      for (const message of node.ready().messages) {
        if (message.to === LocalAppendThread) writes.push(message);
        else if (message.to === LocalApplyThread) {
          for (const entry of message.entries) if (entry.data) applied.push(entry.data.toString());
          message.responses.forEach(deliver);
        } else sent.push(message);
      }
    }
  };
  const sync = (): void => {
    for (const message of writes.splice(0)) {
      storage.append(message.entries);
      message.responses.forEach(deliver);
    }
    run();
  };
  return { node, storage, writes, applied, sent, run, sync };
}

it('commits as a single voter once its own append is durable, and not before', () => {
  const loop = asyncLoop();
  loop.node.campaign();
  loop.run();
  expect(loop.node.role).toBe(Role.Candidate);
  loop.sync();
  expect(loop.node.role).toBe(Role.Leader);
  loop.sync();

  expect(loop.node.proposeBatch([Buffer.from('a'), Buffer.from('b')])).toBeUndefined();
  loop.run();
  loop.node.propose(Buffer.from('c'));
  loop.run();
  expect(loop.writes.flatMap(({ entries }) => entries.map((entry) => entry.index))).toEqual([4, 5, 6]);
  expect(loop.applied).toEqual([]);
  loop.sync();
  expect(loop.applied).toEqual(['a', 'b', 'c']);
  expect(loop.node.applied).toBe(6);
});

it('shares one write among the proposals made between two turns of the loop', () => {
  const loop = asyncLoop();
  loop.node.campaign();
  for (let i = 0; i < 3; i++) loop.sync();
  for (const data of ['a', 'b', 'c']) loop.node.propose(Buffer.from(data));
  loop.run();
  expect(loop.writes.map(({ entries }) => entries.length).filter((count) => count > 0)).toEqual([3]);
});

it('drops proposals while there is no leader', () => {
  const { node } = newNode();
  expect(node.propose(Buffer.from('a'))).toBe(StepError.ProposalDropped);
});

it('drops proposals over the limit of uncommitted bytes, and accepts them again when entries are applied', () => {
  const loop = asyncLoop({ maxUncommittedSize: 10 });
  loop.node.campaign();
  for (let i = 0; i < 3; i++) loop.sync();
  expect(loop.node.propose(Buffer.alloc(100))).toBeUndefined();
  expect(loop.node.propose(Buffer.alloc(1))).toBe(StepError.ProposalDropped);
  expect(loop.node.propose(Buffer.alloc(0))).toBeUndefined();
  loop.run();
  loop.sync();
  expect(loop.node.propose(Buffer.alloc(1))).toBeUndefined();
});

it('answers a read index of a single voter at once', () => {
  const loop = asyncLoop();
  loop.node.campaign();
  for (let i = 0; i < 3; i++) loop.sync();
  loop.node.readIndex(Buffer.from('ctx'));
  expect(loop.node.ready().readStates).toEqual([{ index: 3, requestCtx: Buffer.from('ctx') }]);
});

// The commit index is written without a sync. So after a crash it may be older than what was acknowledged, until the
// first entry of the new term is on disk. A single member with a slow disk answered reads with old data meanwhile.
it('answers a read index of a single voter only when an entry of its term is committed', () => {
  const loop = asyncLoop({}, [1n], 1);
  loop.node.campaign();
  loop.run();
  loop.sync();
  expect(loop.node.role).toBe(Role.Leader);
  loop.node.readIndex(Buffer.from('ctx'));
  expect(loop.node.hasReady()).toBe(false);
  for (const message of loop.writes.splice(0)) {
    loop.storage.append(message.entries);
    for (const response of message.responses) loop.node.step(response);
  }
  expect(loop.node.ready().readStates).toEqual([{ index: 3, requestCtx: Buffer.from('ctx') }]);
});

it('starts a new group from empty storage', () => {
  const storage = new MemoryStorage();
  const node = nodeOn(storage, { id: 7n });
  node.bootstrap([{ id: 7n, context: Buffer.from('member 7') }]);
  const first = node.ready();
  expect(first.hardState).toEqual({ term: 1, vote: 0n, commit: 1 });
  expect(first.committedEntries).toHaveLength(1);
  storage.append(first.entries);
  node.advance();
  node.campaign();
  for (let i = 0; i < 4 && node.hasReady(); i++) {
    storage.append(node.ready().entries);
    node.advance();
  }
  expect(node.role).toBe(Role.Leader);
  expect(node.confState()).toEqual(confStateOf([7n]));
});

it('restarts from what was saved', () => {
  const { storage } = newNode();
  storage.append([
    { term: 1, index: 3, type: 0, data: Buffer.from('x') },
    { term: 2, index: 4, type: 0, data: Buffer.from('y') },
  ]);
  storage.setHardState({ term: 2, vote: 1n, commit: 4 });
  const node = nodeOn(storage, { applied: 3 });
  const ready = node.ready();
  expect(ready.hardState).toBeUndefined();
  expect(ready.committedEntries.map(({ index }) => index)).toEqual([4]);
  expect(node.term).toBe(2);
});

it('refuses messages that no peer sends', () => {
  const { node } = newNode({}, [1n, 2n]);
  const base: Message = {
    type: 0, to: 1n, from: 2n, term: 1, logTerm: 0, index: 0, entries: [], commit: 0, vote: 0n,
    snapshot: undefined, reject: false, rejectHint: 0, context: undefined, responses: [],
  }; // prettier-ignore
  expect(node.step(base)).toBe(StepError.LocalMessage);
  expect(node.step({ ...base, type: 4, from: 9n })).toBe(StepError.PeerNotFound);
});

it('refuses settings out of their range', () => {
  expect(() => newNode({ id: 0n })).toThrow('cannot use none as id');
  expect(() => newNode({ id: LocalAppendThread })).toThrow('cannot use local target as id');
  expect(() => newNode({ electionTick: 1 })).toThrow('election tick must be greater than heartbeat tick');
  expect(() => newNode({ maxInflightMessages: 0 })).toThrow('max inflight messages must be greater than 0');
  expect(() => newNode({ readOnlyOption: 'lease-based' })).toThrow('CheckQuorum must be enabled');
});
