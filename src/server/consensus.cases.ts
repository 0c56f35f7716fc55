import { describe, expect, it } from 'vitest';
import { decodeConfChange, isConfChange } from '../raft/confchange/conf-change.ts';
import {
  type ConfChange,
  ConfChangeType,
  type ConfState,
  type Entry,
  type Message,
  MessageType,
  Role,
  type Snapshot,
  StepError,
} from '../raft/types.ts';
import type { LogStore } from '../ports/log-store.ts';
import type { MemoryStorage } from '../raft/memory-storage.ts';
import type { RawNode } from '../raft/raw-node.ts';
import { confStateOf, newNode, START_INDEX } from '../raft/testing/new-node.ts';
import { newMessage } from '../raft/types.ts';
import type { ConsensusDriver, ConsensusHooks } from './consensus.ts';
import { ManualLog } from './testing/manual-log.ts';

/** The parts from which a case makes a driver. */
export interface DriverParts {
  readonly node: RawNode;
  readonly memory: MemoryStorage;
  readonly log: LogStore;
  readonly confState: ConfState;
  readonly hooks: ConsensusHooks;
  /** Tasks that wait for their turn. */
  readonly later: (task: () => void) => void;
}

class Driven {
  readonly driver: ConsensusDriver;
  readonly node: RawNode;
  readonly log = new ManualLog();
  readonly memory: MemoryStorage;
  readonly applied: string[] = [];
  readonly dropped: string[] = [];
  readonly sent: Message[] = [];
  readonly installed: { readonly snapshot: Snapshot; readonly done: () => void }[] = [];
  isStalled = false;
  #tasks: (() => void)[] = [];

  constructor(make: (parts: DriverParts) => ConsensusDriver, voters: bigint[]) {
    const { node, storage } = newNode({ asyncStorageWrites: true }, voters);
    this.node = node;
    this.memory = storage;
    this.driver = make({
      node: this.node,
      memory: this.memory,
      log: this.log,
      confState: confStateOf(voters),
      later: (task) => this.#tasks.push(task),
      hooks: {
        apply: (entries) => this.#apply(entries),
        send: (messages) => void this.sent.push(...messages),
        install: (snapshot, done) => void this.installed.push({ snapshot, done }),
        canRead: () => true,
        leadershipChanged: () => undefined,
        dropped: (datas) => void this.dropped.push(...datas.map(String)),
        turned: () => undefined,
      },
    });
  }

  /** Runs everything that waits, also for the disk. */
  settle(): void {
    for (let round = 0; round < 30; round += 1) {
      for (const task of this.#tasks.splice(0)) task();
      this.log.sync();
    }
  }

  /** Also what waits for promises. */
  async settleAll(): Promise<void> {
    for (let round = 0; round < 3; round += 1) {
      this.settle();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  lead(): void {
    this.driver.campaign();
    this.settle();
    expect(this.driver.role).toBe(Role.Leader);
  }

  /** As a message of member 2, which leads term 2. */
  fromLeader(type: MessageType, fields: Partial<Message>): void {
    this.driver.step({ ...newMessage(type, 1n), from: 2n, term: 2, ...fields });
  }

  #apply(entries: readonly Entry[]): number | undefined {
    if (this.isStalled) return undefined;
    const installed = Math.max(0, ...this.installed.map(({ snapshot }) => snapshot.metadata?.index ?? 0));
    for (const entry of entries) {
      // As the applier does.
      if (entry.index <= installed) continue;
      if (isConfChange(entry)) this.driver.applyConfChange(decodeConfChange(entry) as ConfChange);
      else if (entry.data !== undefined) this.applied.push(entry.data.toString());
    }
    return entries.length;
  }
}

function entry(index: number, text: string): Entry {
  return { type: 0, term: 2, index, data: Buffer.from(text) };
}

const learner: ConfChange = {
  id: 5n,
  type: ConfChangeType.ConfChangeAddLearnerNode,
  nodeId: 9n,
  context: undefined,
};

/** What each driver of raft does, whichever thread raft is in. */
export function consensusCases(name: string, make: (parts: DriverParts) => ConsensusDriver): void {
  describe(name, () => {
    const alone = (): Driven => new Driven(make, [1n]);
    const follower = (): Driven => new Driven(make, [1n, 2n]);
    const never = (): never => {
      throw new Error('the read does not fail');
    };

    it('applies what is proposed, in order, and only what is on disk', () => {
      const driven = alone();
      driven.lead();
      for (let n = 0; n < 200; n += 1) driven.driver.propose(Buffer.from(String(n)));
      driven.settle();
      expect(driven.applied).toEqual(Array.from({ length: 200 }, (_, n) => String(n)));
      expect(driven.driver.backlog).toBe(0);
      expect(driven.driver.committed).toBe(START_INDEX + 1 + 200);
      expect(driven.driver.appendsDone).toBe(driven.driver.appendsBegun);
    });

    it('answers a read when everything committed before it is applied', () => {
      const driven = alone();
      driven.lead();
      driven.isStalled = true;
      driven.driver.propose(Buffer.from('one'));
      driven.settle();
      let isReadable = false;
      driven.driver.read({ readable: () => (isReadable = true), failed: never }, Infinity);
      driven.settle();
      expect(isReadable).toBe(false);
      driven.isStalled = false;
      driven.driver.resume();
      driven.settle();
      expect(driven.applied).toEqual(['one']);
      expect(isReadable).toBe(true);
    });

    it('answers reads before and after a member joins', () => {
      const driven = alone();
      driven.lead();
      const read = (): boolean => {
        let isReadable = false;
        driven.driver.read({ readable: () => (isReadable = true), failed: never }, Infinity);
        driven.settle();
        return isReadable;
      };
      expect([read(), read()]).toEqual([true, true]);
      driven.driver.proposeConfChange({ ...learner, type: ConfChangeType.ConfChangeAddNode }, never);
      driven.settle();
      // The new voter does not answer, so raft cannot confirm that this member still leads.
      expect(read()).toBe(false);
      expect(driven.sent.some(({ to }) => to === 9n)).toBe(true);
    });

    it('keeps proposals until there is a leader', () => {
      const driven = alone();
      driven.driver.propose(Buffer.from('withdrawn'));
      driven.settle();
      expect(driven.driver.waitingProposals).toBe(1);
      driven.driver.withdrawAll();
      driven.driver.propose(Buffer.from('kept'));
      driven.settle();
      driven.lead();
      expect(driven.applied).toEqual(['kept']);
      expect(driven.driver.waitingProposals).toBe(0);
    });

    it('reports proposals that raft drops', () => {
      const driven = follower();
      driven.fromLeader(MessageType.MsgHeartbeat, {});
      driven.settle();
      expect(driven.driver.lead).toBe(2n);
      driven.driver.propose(Buffer.from('forwarded'));
      driven.settle();
      expect(driven.sent.filter(({ type }) => type === MessageType.MsgProp)).toHaveLength(1);
      const leader = new Driven(make, [1n, 2n]);
      leader.driver.campaign();
      leader.settle();
      leader.driver.step({ ...newMessage(MessageType.MsgVoteResp, 1n), from: 2n, term: 1 });
      leader.settle();
      expect(leader.driver.role).toBe(Role.Leader);
      leader.driver.transferLeader(2n);
      leader.driver.propose(Buffer.from('too late'));
      leader.settle();
      expect(leader.dropped).toEqual(['too late']);
    });

    it('changes the configuration when the entry is applied, and says why a change is refused', () => {
      const driven = alone();
      let refused: StepError | undefined;
      driven.driver.proposeConfChange(learner, (reason) => (refused = reason));
      driven.settle();
      expect(refused).toBe(StepError.ProposalDropped);
      driven.lead();
      driven.driver.proposeConfChange(learner, never);
      driven.settle();
      expect(driven.driver.confState).toEqual({ ...confStateOf([1n]), learners: [9n] });
      expect(driven.driver.status().config.learners).toEqual(new Set([9n]));
      expect(driven.driver.status().progress.get(9n)).toMatchObject({ isLearner: true, match: 0 });
      expect(driven.sent.some(({ to }) => to === 9n)).toBe(true);
    });

    it('installs a snapshot, and then applies the entries after it', () => {
      const driven = follower();
      const confState = { ...confStateOf([1n, 2n]), learners: [8n] };
      const snapshot = { data: undefined, metadata: { confState, index: 10, term: 2 } };
      driven.fromLeader(MessageType.MsgSnap, { snapshot });
      driven.settle();
      expect(driven.installed.map(({ snapshot: { metadata } }) => metadata?.index)).toEqual([10]);
      const append = { index: 10, logTerm: 2, commit: 11, entries: [entry(11, 'after')] };
      driven.fromLeader(MessageType.MsgApp, append);
      driven.settle();
      expect(driven.applied).toEqual([]);
      driven.installed[0]?.done();
      driven.settle();
      expect(driven.applied).toEqual(['after']);
      expect(driven.driver.confState).toEqual(confState);
      expect(driven.memory.firstIndex()).toBe(11);
    });

    // The configuration of a snapshot is in force as soon as raft has taken it.
    it('does not change the configuration of a snapshot by entries that are in it', () => {
      const driven = follower();
      driven.isStalled = true;
      const change = { type: 1, term: 2, index: 3, data: Buffer.from([8, 5, 16, 3, 24, 9]) } as const;
      driven.fromLeader(MessageType.MsgApp, { index: 2, logTerm: 1, commit: 3, entries: [change] });
      driven.settle();
      const snapshot = {
        data: undefined,
        metadata: { confState: confStateOf([1n, 2n]), index: 10, term: 2 },
      };
      driven.isStalled = false;
      driven.driver.resume();
      driven.fromLeader(MessageType.MsgSnap, { snapshot });
      driven.settle();
      const { metadata } = driven.installed[0]?.snapshot ?? {};
      expect(metadata?.confState).toEqual(confStateOf([1n, 2n]));
      // The store of the snapshot has the index of the change, so the applier skips it.
      driven.isStalled = false;
      driven.installed[0]?.done();
      driven.settle();
      driven.fromLeader(MessageType.MsgApp, { index: 10, logTerm: 2, commit: 11, entries: [entry(11, 'x')] });
      driven.settle();
      expect(driven.applied).toEqual(['x']);
      expect(driven.node.confState()).toEqual(confStateOf([1n, 2n]));
    });

    it('releases the log on disk, and removes entries from memory', async () => {
      const driven = alone();
      driven.lead();
      for (let n = 0; n < 10; n += 1) driven.driver.propose(Buffer.from(String(n)));
      driven.settle();
      const { log, confState, committed } = driven.driver;
      let isReleased = false;
      void log.release({ index: committed, term: 2, confState }).then(() => (isReleased = true));
      await driven.settleAll();
      expect(isReleased).toBe(true);
      expect(driven.log.released.map(({ index }) => index)).toEqual([committed]);
      log.removeUpTo(committed - 2, { index: committed, confState });
      driven.settle();
      expect(driven.memory.firstIndex()).toBe(committed - 1);
      expect(log.firstIndex).toBe(committed - 1);
      expect([log.room, log.unreleasedBytes]).toEqual([Infinity, 7]);
    });

    it('does nothing after its stop', () => {
      const driven = alone();
      driven.lead();
      driven.driver.stop();
      driven.driver.propose(Buffer.from('late'));
      driven.settle();
      expect(driven.applied).toEqual([]);
    });
  });
}
