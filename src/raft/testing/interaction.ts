import { assert, defined } from '../../lib/assert.ts';
import { decodeConfChange, isConfChange } from '../confchange/conf-change.ts';
import type { AnyConfChange } from '../confchange/conf-change.ts';
import type { RaftConfig } from '../config.ts';
import { describeEntries, describeMessage, describeReady } from '../describe.ts';
import { MemoryStorage } from '../memory-storage.ts';
import { isVoter } from '../quorum/joint.ts';
import { RawNode } from '../raw-node.ts';
import { describeProgress } from '../tracker/progress.ts';
import {
  LocalAppendThread,
  LocalApplyThread,
  MessageType,
  isEmptyHardState,
  isEmptySnapshot,
  isLocalTarget,
  newMessage,
  snapshotIndex,
} from '../types.ts';
import type { ConfState, Entry, HardState, Message, Snapshot, StepError } from '../types.ts';
import { Trace } from './trace.ts';

/** A command that cannot be done; its message is the output. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
}

export type NodeTemplate = Omit<RaftConfig, 'id' | 'storage' | 'randomInt' | 'logger'>;

/** A storage whose snapshot is always the latest applied state. */
class HistoryStorage extends MemoryStorage {
  readonly history: Snapshot[];

  constructor(first: Snapshot) {
    super();
    this.history = [first];
  }

  override snapshot(): Snapshot {
    return defined(this.history.at(-1), 'a node has an applied state');
  }
}

interface Member {
  readonly node: RawNode;
  readonly storage: HistoryStorage;
  readonly template: NodeTemplate;
  appendWork: Message[];
  applyWork: Message[];
}

/** A few nodes, the messages between them and their storage work, all moved one step at a time by commands. */
export class Interaction {
  readonly trace = new Trace();
  readonly members: Member[] = [];
  /** In flight. */
  messages: Message[] = [];

  member(id: bigint): Member {
    const member = this.members[Number(id) - 1];
    if (member === undefined) throw new CommandError(`there is no node ${id}`);
    return member;
  }

  /** Adds nodes with the next ids, all starting from `snapshot` (unless that is empty). */
  addNodes(count: number, template: NodeTemplate, snapshot: Snapshot): void {
    const empty = isEmptySnapshot(snapshot) && (snapshot.metadata?.confState?.voters.length ?? 0) === 0;
    for (let i = 0; i < count; i++) {
      const storage = new HistoryStorage(snapshot);
      if (!empty) {
        if (snapshotIndex(snapshot) <= 1) {
          throw new CommandError('index must be specified as > 1 due to bootstrap');
        }
        storage.applySnapshot(snapshot);
      }
      const id = BigInt(this.members.length + 1);
      const node = new RawNode({ ...template, id, storage, logger: this.trace, randomInt: () => 0 });
      this.members.push({ node, storage, template, appendWork: [], applyWork: [] });
    }
  }

  processReady(id: bigint): void {
    const member = this.member(id);
    const isAsync = member.template.asyncStorageWrites === true;
    const ready = member.node.ready();
    this.trace.write(describeReady(ready));
    if (!isAsync) {
      saveTo(member, ready.hardState, ready.entries, ready.snapshot);
      applyTo(member, ready.committedEntries);
    }
    for (const message of ready.messages) {
      if (message.to === LocalAppendThread) member.appendWork.push(message);
      else if (message.to === LocalApplyThread) member.applyWork.push(message);
      else this.messages.push(message);
    }
    assert(
      isAsync || member.appendWork.length + member.applyWork.length === 0,
      'sync mode has no storage messages',
    );
    if (!isAsync) member.node.advance();
  }

  processAppend(id: bigint): void {
    const member = this.member(id);
    const message = member.appendWork.shift();
    if (message === undefined) {
      this.trace.write('no append work to perform');
      return;
    }
    const { term, vote, commit } = message;
    this.#processWork(message, () => {
      saveTo(member, { term, vote, commit }, message.entries, message.snapshot);
    });
  }

  processApply(id: bigint): void {
    const member = this.member(id);
    const message = member.applyWork.shift();
    if (message === undefined) {
      this.trace.write('no apply work to perform');
      return;
    }
    this.#processWork(message, () => {
      applyTo(member, message.entries);
    });
  }

  #processWork(message: Message, work: () => void): void {
    this.trace.write(`Processing:\n${describeMessage({ ...message, responses: [] })}\n`);
    work();
    this.trace.write('Responses:\n');
    for (const response of message.responses) this.trace.write(`${describeMessage(response)}\n`);
    this.messages.push(...message.responses);
  }

  /**
   * Delivers what is on the way to `to`, or loses it; messages within a node are never lost.
   *
   * @returns how many messages that were
   */
  deliver(
    to: bigint,
    { type, drop = false }: { type?: MessageType | undefined; drop?: boolean } = {},
  ): number {
    const chosen: Message[] = [];
    const rest: Message[] = [];
    for (const message of this.messages) {
      const matches = message.to === to && (type === undefined || message.type === type);
      (matches && !(drop && isWithinNode(message)) ? chosen : rest).push(message);
    }
    this.messages = rest;
    for (const message of chosen) {
      this.trace.write(`${drop ? 'dropped: ' : ''}${describeMessage(message)}\n`);
      if (drop) continue;
      const refused = this.member(to).node.step(message);
      if (refused !== undefined) this.trace.write(`${refused}\n`);
    }
    return chosen.length;
  }

  /** Does all work of these nodes until none is left. */
  stabilize(ids: readonly bigint[]): void {
    let again = true;
    while (again) {
      again = false;
      const each = (
        title: string,
        hasWork: (member: Member, id: bigint) => boolean,
        work: (id: bigint) => void,
      ) => {
        for (const id of ids) {
          const member = this.member(id);
          if (!hasWork(member, id)) continue;
          this.trace.write(`> ${id} ${title}\n`);
          do this.trace.indented(() => work(id));
          while (title.endsWith('thread') && hasWork(member, id));
          again = true;
        }
      };
      each(
        'handling Ready',
        (member) => member.node.hasReady(),
        (id) => this.processReady(id),
      );
      each(
        'receiving messages',
        (_, id) => this.messages.some(({ to }) => to === id),
        (id) => this.deliver(id),
      );
      each(
        'processing append thread',
        (member) => member.appendWork.length > 0,
        (id) => this.processAppend(id),
      );
      each(
        'processing apply thread',
        (member) => member.applyWork.length > 0,
        (id) => this.processApply(id),
      );
    }
  }

  ids(): bigint[] {
    return this.members.map(({ node }) => node.id);
  }

  propose(id: bigint, data: Buffer): void {
    refuse(this.member(id).node.propose(data));
  }

  proposeConfChange(id: bigint, change: AnyConfChange): void {
    refuse(this.member(id).node.proposeConfChange(change));
  }

  tick(id: bigint, times: number): void {
    for (let i = 0; i < times; i++) this.member(id).node.tick();
  }

  sendSnapshot(from: bigint, to: bigint): void {
    const message = newMessage(MessageType.MsgSnap, to);
    message.from = from;
    message.term = this.member(from).node.term;
    message.snapshot = this.member(from).storage.snapshot();
    this.messages.push(message);
    this.trace.write(describeMessage(message));
  }

  compact(id: bigint, index: number): void {
    if (!this.member(id).storage.compact(index)) {
      throw new CommandError('requested index is unavailable due to compaction');
    }
    this.describeLog(id);
  }

  describeLog(id: bigint): void {
    const { storage } = this.member(id);
    const first = storage.firstIndex();
    const last = storage.lastIndex();
    if (last < first) {
      this.trace.write(`log is empty: first index=${first}, last index=${last}`);
      return;
    }
    const entries = storage.entries(first, last + 1, Infinity);
    assert(Array.isArray(entries), 'a storage holds the entries it says it holds');
    this.trace.write(describeEntries(entries));
  }

  describeStates(): void {
    for (const { node } of this.members) {
      const { id, softState, hardState, config } = node.status();
      const votes = isVoter(config.voters, id) ? '(Voter)' : '(Non-Voter)';
      this.trace.write(`${id}: ${softState.role} ${votes} Term:${hardState.term} Lead:${softState.lead}\n`);
    }
  }

  describeProgress(id: bigint): void {
    this.trace.write(describeProgress(this.member(id).node.status().progress));
  }
}

function refuse(error: StepError | undefined): void {
  if (error !== undefined) throw new CommandError(error);
}

function isWithinNode({ from, to }: Message): boolean {
  return from === to || isLocalTarget(from) || isLocalTarget(to);
}

function saveTo(
  { storage }: Member,
  hardState: HardState | undefined,
  entries: readonly Entry[],
  snapshot: Snapshot | undefined,
): void {
  if (hardState !== undefined && !isEmptyHardState(hardState)) storage.setHardState(hardState);
  if (snapshot !== undefined && !isEmptySnapshot(snapshot)) {
    assert(entries.length === 0, 'a snapshot and entries are not written at once');
    storage.applySnapshot(snapshot);
    return;
  }
  storage.append(entries);
}

/** Applies to a state machine that concatenates all data, and keeps each of its states. */
function applyTo({ node, storage }: Member, entries: readonly Entry[]): void {
  for (const entry of entries) {
    const last = storage.snapshot();
    let confState: ConfState | undefined = last.metadata?.confState;
    let update = entry.data;
    if (isConfChange(entry)) {
      const change = decodeConfChange(entry);
      confState = node.applyConfChange(change);
      update = change.context;
    }
    const data = Buffer.concat([last.data, update].filter((part) => part !== undefined));
    storage.history.push({ data, metadata: { confState, index: entry.index, term: entry.term } });
  }
}
