import { assert } from '../lib/assert.ts';
import type { RaftConfig } from './config.ts';
import { asV2, confChangeEntry } from './confchange/conf-change.ts';
import type { AnyConfChange } from './confchange/conf-change.ts';
import { entriesSize } from './entry-size.ts';
import { applyConfChange } from './membership.ts';
import { acceptProposal } from './proposals.ts';
import { Raft } from './raft.ts';
import { statusOf } from './status.ts';
import type { Status } from './status.ts';
import {
  appendMessage,
  appendResponse,
  applyMessage,
  applyResponse,
  needsAppend,
} from './storage-messages.ts';
import {
  MessageType,
  None,
  Role,
  StepError,
  isLocalMessage,
  isLocalTarget,
  isResponseMessage,
  newMessage,
} from './types.ts';
import type { ConfState, Entry, HardState, Message, Ready, SoftState } from './types.ts';

/** A member of a new group, with data of the application. */
export interface Peer {
  readonly id: bigint;
  readonly context: Buffer | undefined;
}

/**
 * A Raft node for an application. The application passes in ticks, messages and proposals, and then takes the work to
 * do. Nothing here waits, reads a clock or does I/O. Calls are cheap, and many may come before the next `ready`, so
 * that concurrent proposals share one write.
 *
 * With `asyncStorageWrites` (what the server uses), writes are messages, and their completion is a message too:
 *
 *     node.proposeBatch(datas);                       // and node.tick(), node.step(fromPeer), node.readIndex(ctx)
 *     while (node.hasReady()) {
 *       const ready = node.ready();
 *       for (const message of ready.messages) {
 *         switch (message.to) {
 *           case LocalAppendThread:
 *             // Write message.entries, then term, vote and commit unless all three are zero, or apply
 *             // message.snapshot. Writes are done in order. Mirror them in the LogStorage no later than `done`.
 *             log.append(message, function done() {   // durable; at once if there are no responses
 *               for (const response of message.responses) deliver(response);
 *             });
 *             break;
 *           case LocalApplyThread:
 *             apply(message.entries);                 // applyConfChange for configuration changes
 *             for (const response of message.responses) deliver(response);
 *             break;
 *           default:
 *             transport.send(message);                // to a peer: leaves without waiting for the disk
 *         }
 *       }
 *       for (const read of ready.readStates) serveReadsAt(read.index, read.requestCtx);
 *     }
 *     function deliver(response) {                    // order is to be kept
 *       if (response.to === node.id) node.step(response);
 *       else transport.send(response);
 *     }
 *
 * A single voter commits when its own append is delivered back: the `ready` after that hands out the entries to apply.
 * A `MsgStorageAppend` without responses (only the commit index moved) need not be synced, nor even be written before
 * the next one that has some.
 *
 * When a `MsgStorageAppend` carries a snapshot, entries handed out before and not applied yet are in it: they are
 * acknowledged without being applied. Its configuration is in force already, and must not be changed by them.
 *
 * Without `asyncStorageWrites`: write `ready.hardState`, `ready.entries` and `ready.snapshot`, sync if
 * `ready.mustSync`, send `ready.messages`, apply `ready.committedEntries`, call `advance`, and only then `ready` again.
 */
export class RawNode {
  readonly #raft: Raft;
  readonly #asyncStorageWrites: boolean;
  #lastSoftState: SoftState;
  #lastHardState: HardState;
  /** Sync mode: what `advance` tells raft. */
  #stepsOnAdvance: Message[] = [];

  /** @throws RangeError for a setting out of its range, ConfChangeError for a stored configuration that is invalid */
  constructor(config: RaftConfig) {
    this.#raft = new Raft(config);
    this.#asyncStorageWrites = this.#raft.config.asyncStorageWrites;
    this.#lastSoftState = this.#raft.softState();
    this.#lastHardState = this.#raft.hardState();
  }

  get id(): bigint {
    return this.#raft.id;
  }

  get term(): number {
    return this.#raft.term;
  }

  /** The leader as far as this node knows; `None` if it knows none. */
  get lead(): bigint {
    return this.#raft.lead;
  }

  /** Whom this node has voted for in its term; `None` if for nobody. */
  get vote(): bigint {
    return this.#raft.vote;
  }

  get role(): Role {
    return this.#raft.role;
  }

  /** Whether this node leads and is the only voter, so that no other member elects a leader if it is late. */
  get leadsAlone(): boolean {
    return this.#raft.role === Role.Leader && this.#raft.tracker.isSingleton();
  }

  get isLearner(): boolean {
    return this.#raft.isLearner;
  }

  get committed(): number {
    return this.#raft.log.committed;
  }

  /** Highest index acknowledged as applied. */
  get applied(): number {
    return this.#raft.log.applied;
  }

  get lastIndex(): number {
    return this.#raft.log.lastIndex();
  }

  confState(): ConfState {
    return this.#raft.tracker.confState();
  }

  /** The complete status. It allocates, so it is not for every turn of a loop. */
  status(): Status {
    return statusOf(this.#raft);
  }

  /** One tick of the clock that election and heartbeat timeouts count. */
  tick(): void {
    this.#raft.tick();
  }

  /** Campaigns now, as if the election timeout had passed. */
  campaign(): void {
    this.#raft.hup();
  }

  propose(data: Buffer): StepError | undefined {
    return this.proposeBatch([data]);
  }

  /**
   * Proposes one entry for each of `datas`, in order and adjacent, all or none. A follower forwards them to the leader,
   * and they may be lost without a notification.
   *
   * @returns `ProposalDropped` if it is certain that none of them will be committed
   */
  proposeBatch(datas: readonly Buffer[]): StepError | undefined {
    if (datas.length === 0) return undefined;
    const entries: Entry[] = [];
    for (const data of datas) entries.push({ type: 0, term: 0, index: 0, data });
    return this.#proposeEntries(entries);
  }

  /**
   * Proposes a change of the configuration; undefined leaves a joint one. A change that may not be made now is
   * committed as an empty entry instead.
   */
  proposeConfChange(change: AnyConfChange | undefined): StepError | undefined {
    return this.#proposeEntries([confChangeEntry(change)]);
  }

  #proposeEntries(entries: Entry[]): StepError | undefined {
    if (this.#raft.role === Role.Leader) return acceptProposal(this.#raft, entries);
    const message = newMessage(MessageType.MsgProp, None);
    message.from = this.#raft.id;
    message.entries = entries;
    return this.#raft.step(message);
  }

  /**
   * Applies a configuration change, when its entry is applied. Not called for a change that the application ignores.
   *
   * @returns the configuration to save with snapshots
   * @throws ConfChangeError if the change cannot be made: the nodes disagree, and this one has to end
   */
  applyConfChange(change: AnyConfChange): ConfState {
    return applyConfChange(this.#raft, asV2(change));
  }

  /**
   * Handles a message of a peer, or a response of local storage. It is never changed, but it and its entries may be
   * kept.
   *
   * @returns why it was refused, if it was; an outdated message is ignored without an error
   */
  step(message: Message): StepError | undefined {
    const { type, from } = message;
    if (!isLocalTarget(from)) {
      if (isLocalMessage(type)) return StepError.LocalMessage;
      if (isResponseMessage(type) && !this.#raft.tracker.progress.has(from)) return StepError.PeerNotFound;
    }
    return this.#raft.step(message);
  }

  /**
   * Asks for the index at which a read is linearizable; it comes in a later `ready` with the same `context`. The
   * request may be lost, so it has to be repeated when nothing comes for a while.
   */
  readIndex(context: Buffer): void {
    const message = newMessage(MessageType.MsgReadIndex, None);
    message.entries.push({ type: 0, term: 0, index: 0, data: context });
    this.#raft.step(message);
  }

  /** Hands leadership to `transferee`; on a follower, asks the leader to. Proposals are dropped meanwhile. */
  transferLeader(transferee: bigint): void {
    const message = newMessage(MessageType.MsgTransferLeader, None);
    message.from = transferee;
    this.#raft.step(message);
  }

  /**
   * Makes a follower forget its leader, within the term: it then grants pre-votes at once, instead of waiting for
   * the election timeout. For an application that has good reason to think that the leader is gone. If it is
   * not, its next message restores it.
   */
  forgetLeader(): void {
    this.#raft.step(newMessage(MessageType.MsgForgetLeader, None));
  }

  /** The last messages to `id` were probably lost. */
  reportUnreachable(id: bigint): void {
    const message = newMessage(MessageType.MsgUnreachable, None);
    message.from = id;
    this.#raft.step(message);
  }

  /** The snapshot sent to `id` arrived or was lost; nothing is sent to it until this, or its answer, comes. */
  reportSnapshot(id: bigint, outcome: 'finished' | 'failed'): void {
    const message = newMessage(MessageType.MsgSnapStatus, None);
    message.from = id;
    message.reject = outcome === 'failed';
    this.#raft.step(message);
  }

  /**
   * Makes the log of a new group, on a node whose storage is empty: one entry for each of its members, committed
   * from the start. Every initial member does the same.
   */
  bootstrap(peers: readonly Peer[]): void {
    const raft = this.#raft;
    assert(peers.length > 0, 'a new group has members');
    assert(raft.log.lastIndex() === 0, 'a bootstrap needs an empty storage');
    this.#lastHardState = { term: 0, vote: None, commit: 0 };
    raft.becomeFollower(1, None);
    const entries = peers.map(({ id, context }, i) => {
      const entry = confChangeEntry({ id: 0n, type: 0, nodeId: id, context });
      return { ...entry, term: 1, index: i + 1 };
    });
    raft.log.append(entries);
    raft.log.committed = entries.length;
    // In force at once, so that the node can campaign; applying the entries does it again, to no effect.
    for (const { id } of peers) this.applyConfChange({ id: 0n, type: 0, nodeId: id, context: undefined });
  }

  hasReady(): boolean {
    const raft = this.#raft;
    return (
      raft.messages.length > 0 ||
      raft.messagesAfterAppend.length > 0 ||
      raft.readStates.length > 0 ||
      raft.log.hasNextUnstableEntries() ||
      raft.log.hasNextCommittedEntries(this.#mayApplyUnstable()) ||
      raft.log.hasNextUnstableSnapshot() ||
      this.#softStateChanged() ||
      this.#hardStateChanged()
    );
  }

  /** Takes the outstanding work. It must be done. */
  ready(): Ready {
    const raft = this.#raft;
    const entries = raft.log.unstable.nextEntries();
    const committedEntries = raft.log.nextCommittedEntries(this.#mayApplyUnstable());
    const hardState = this.#hardStateChanged() ? raft.hardState() : undefined;
    const mustSync =
      entries.length > 0 || raft.vote !== this.#lastHardState.vote || raft.term !== this.#lastHardState.term;
    const ready: Ready = {
      softState: this.#softStateChanged() ? raft.softState() : undefined,
      hardState,
      readStates: raft.readStates,
      entries,
      snapshot: raft.log.unstable.nextSnapshot(),
      committedEntries,
      messages: raft.messages,
      mustSync,
    };
    if (this.#asyncStorageWrites) this.#addStorageMessages(ready);
    else this.#holdStepsUntilAdvance(ready);
    this.#accept(ready);
    return ready;
  }

  #addStorageMessages(ready: Ready): void {
    if (needsAppend(this.#raft, ready)) ready.messages.push(appendMessage(this.#raft, ready));
    if (ready.committedEntries.length > 0) {
      ready.messages.push(applyMessage(this.#raft, ready.committedEntries));
    }
  }

  #holdStepsUntilAdvance(ready: Ready): void {
    assert(this.#stepsOnAdvance.length === 0, 'a ready is advanced before the next one');
    const steps: Message[] = [];
    for (const message of this.#raft.messagesAfterAppend) {
      if (message.to === this.#raft.id) steps.push(message);
      else ready.messages.push(message);
    }
    const written = appendResponse(this.#raft, ready);
    if (written !== undefined) steps.push(written);
    if (ready.committedEntries.length > 0) steps.push(applyResponse(this.#raft, ready.committedEntries));
    this.#stepsOnAdvance = steps;
  }

  #accept(ready: Ready): void {
    const raft = this.#raft;
    if (ready.softState !== undefined) this.#lastSoftState = ready.softState;
    if (ready.hardState !== undefined) {
      assert(ready.hardState.commit >= this.#lastHardState.commit, 'the commit index never decreases');
      this.#lastHardState = ready.hardState;
    }
    raft.readStates = [];
    raft.messages = [];
    raft.messagesAfterAppend = [];
    raft.log.unstable.acceptInProgress();
    const last = ready.committedEntries.at(-1);
    if (last !== undefined) {
      raft.log.acceptApplying(last.index, entriesSize(ready.committedEntries), this.#mayApplyUnstable());
    }
  }

  /** Sync mode: the work of the last `ready` is done. */
  advance(): void {
    assert(!this.#asyncStorageWrites, 'async storage writes are acknowledged by their responses');
    const steps = this.#stepsOnAdvance;
    this.#stepsOnAdvance = [];
    for (const message of steps) this.#raft.step(message);
  }

  /** Sets how many ticks without a leader this node waits, until its role changes next. For tests. */
  setRandomizedElectionTimeout(ticks: number): void {
    this.#raft.randomizedElectionTimeout = ticks;
  }

  /** In sync mode entries are written before they are applied, in the same turn. */
  #mayApplyUnstable(): boolean {
    return !this.#asyncStorageWrites;
  }

  #softStateChanged(): boolean {
    return this.#raft.lead !== this.#lastSoftState.lead || this.#raft.role !== this.#lastSoftState.role;
  }

  #hardStateChanged(): boolean {
    const raft = this.#raft;
    const lastHardState = this.#lastHardState;
    return (
      raft.log.committed !== lastHardState.commit ||
      raft.term !== lastHardState.term ||
      raft.vote !== lastHardState.vote
    );
  }
}
