import { describe, expect, it } from 'vitest';
import { newNode } from '../raft/testing/new-node.ts';
import { type Entry, type Message, MessageType, Role } from '../raft/types.ts';
import { RaftLoop } from './raft-loop.ts';
import { ManualLog } from './testing/manual-log.ts';

function loopWith(voters: bigint[]) {
  const { node, storage: memory } = newNode({ asyncStorageWrites: true }, voters);
  const log = new ManualLog();
  log.isQuick = true;
  const turns: (() => void)[] = [];
  const applied: string[] = [];
  const loop = new RaftLoop({
    node,
    memory,
    log,
    scheduler: { soon: (task) => turns.push(task), every: () => () => undefined },
    catchupBytes: 0,
    readRetryMs: 500,
    readNonce: Buffer.alloc(8),
    now: () => 0,
    hooks: {
      apply: (entries: readonly Entry[]) => {
        for (const { data } of entries) if (data !== undefined) applied.push(data.toString());
        return entries.length;
      },
      send: (messages: readonly Message[]) => {
        // The others grant their votes and take no entries.
        for (const { type, term, to } of messages)
          if (type === MessageType.MsgVote)
            loop.step({ ...voteOf(to), term, type: MessageType.MsgVoteResp } as Message);
      },
      install: () => undefined,
      canRead: () => true,
      leadershipChanged: () => undefined,
      dropped: () => undefined,
      turned: () => undefined,
    },
  });
  const voteOf = (from: bigint): Partial<Message> => ({
    from,
    to: 1n,
    reject: false,
    entries: [],
    responses: [],
  });
  const turn = (): void => {
    for (const task of turns.splice(0)) task();
  };
  const lead = (): void => {
    loop.campaign();
    for (let n = 0; n < 5; n++) {
      turn();
      log.sync();
    }
    applied.length = 0;
  };
  return { loop, log, turns, applied, turn, lead };
}

describe('the raft loop', () => {
  it('writes, commits and applies a proposal in one turn, if the log writes at once', () => {
    const { loop, log, turns, applied, turn, lead } = loopWith([1n]);
    lead();
    loop.propose(Buffer.from('one'));
    turn();
    expect(applied).toEqual(['one']);
    // The append of the commit index brings no news for raft, so no turn follows it.
    log.sync();
    expect(turns).toEqual([]);
    expect(loop.appendsDone).toBe(loop.appendsBegun);
  });

  it('applies the proposals of quick and of slow writes in order', () => {
    const { loop, log, applied, turn, lead } = loopWith([1n]);
    lead();
    const expected: string[] = [];
    for (let n = 0; n < 20; n++) {
      log.isQuick = n % 3 === 0;
      loop.propose(Buffer.from(String(n)));
      expected.push(String(n));
      turn();
      if (!log.isQuick) expect(applied).toHaveLength(n);
      log.sync();
      turn();
      expect(applied).toEqual(expected);
    }
  });

  it('never waits for the disk if there are other voters, since heartbeats must not depend on it', () => {
    const { loop, log, turn, lead } = loopWith([1n, 2n, 3n]);
    log.isQuick = false;
    lead();
    expect(loop.role).toBe(Role.Leader);
    log.isQuick = true;
    loop.propose(Buffer.from('one'));
    turn();
    expect(loop.appendsDone).toBe(loop.appendsBegun - 1);
  });
});
