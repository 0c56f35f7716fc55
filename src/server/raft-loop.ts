import { assert } from '../lib/assert.ts';
import type { LogStore } from '../ports/log-store.ts';
import { payloadsSize } from '../raft/entry-size.ts';
import type { MemoryStorage } from '../raft/memory-storage.ts';
import type { RawNode } from '../raft/raw-node.ts';
import type { Status } from '../raft/status.ts';
import {
  type ConfChange,
  type Entry,
  LocalAppendThread,
  LocalApplyThread,
  type Message,
  None,
  type Ready,
  Role,
  type Snapshot,
  StepError,
} from '../raft/types.ts';
import type { Consensus, ConsensusInput } from './consensus.ts';
import { ReadQueue, type ReadWaiter } from './read-queue.ts';
import type { SlowRequests } from './slow-requests.ts';

/** Maximum number of entries applied in one turn, and the size in bytes after which a slice ends. */
const ENTRIES_PER_SLICE = 64;
const BYTES_PER_SLICE = 256 * 1024;
/** A member that lags far behind applies larger slices: its clients wait for its last entries, not for the first ones. */
const LAGGING_ENTRIES = 128;
const BYTES_PER_LAGGING_SLICE = 1024 * 1024;

/** Output of the loop. All are called within a turn and must not call the loop synchronously. */
export interface RaftLoopHooks {
  /**
   * Applies consecutive committed entries.
   *
   * @returns the number of entries applied; 0 is possible when one entry takes several turns. Undefined means that
   * nothing can be applied now and `resume` will be called later.
   */
  apply(entries: readonly Entry[]): number | undefined;
  /** Messages to other members, in order. */
  send(messages: readonly Message[]): void;
  /** Replaces log and state with a snapshot of the leader. Calls `done` when both are durable. */
  install(snapshot: Snapshot, done: () => void): void;
  /** Whether the state can be read. Where it cannot, confirmed reads wait for a later turn. */
  canRead(): boolean;
  leadershipChanged(lead: bigint, role: Role): void;
  /** Called for proposals that were dropped and will never be applied. */
  dropped(datas: readonly Buffer[], reason: StepError): void;
  /** Called at the end of a turn: its output may be sent. */
  turned(): void;
}

export interface RaftLoopOptions {
  readonly node: RawNode;
  readonly memory: MemoryStorage;
  readonly log: LogStore;
  readonly hooks: RaftLoopHooks;
  /** Runs a task soon, after all input that arrived together has been added. */
  readonly soon: (task: () => void) => void;
  /** Milliseconds after which an unconfirmed ReadIndex is sent again. */
  readonly readRetryMs: number;
  /** Created by `newReadNonce` at each start of the process. */
  readonly readNonce: Buffer;
  readonly slowRequests?: SlowRequests;
  readonly now: () => number;
}

/**
 * Drives raft. All input that arrives between two turns (proposals, reads, messages, disk completions, ticks) goes into
 * raft together. So concurrent proposals share one append, and concurrent reads share one ReadIndex. Within a turn the
 * append starts before committed entries are applied, so that disk and apply run in parallel.
 */
export class RaftLoop implements Consensus, ConsensusInput {
  readonly node: RawNode;
  readonly reads: ReadQueue;
  /** Number of appends passed to the log, and number of them that are on disk. */
  appendsBegun = 0;
  appendsDone = 0;
  unwrittenBytes = 0;
  readonly #memory: MemoryStorage;
  readonly #log: LogStore;
  readonly #hooks: RaftLoopHooks;
  readonly #soon: (task: () => void) => void;
  readonly #readRetryMs: number;
  readonly #now: () => number;
  #proposals: Buffer[] = [];
  /** There is a new leader, and the pending ReadIndex requests have not been sent to it yet. */
  #isLeadNew = false;
  readonly #applying: Message[] = [];
  /** Number of applied entries of the first message in `#applying`. */
  #appliedOfFirst = 0;
  #applyStalled = false;
  #installing = false;
  /** Appends that wait for the installation of a snapshot. */
  readonly #waitingAppends: Message[] = [];
  #scheduled = false;
  #turning = false;
  #stopped = false;
  #lead = None;
  #role: Role = Role.Follower;
  readonly #turnTask = (): void => {
    this.#scheduled = false;
    this.#turn();
  };

  constructor(options: RaftLoopOptions) {
    this.node = options.node;
    this.reads = new ReadQueue(options.readNonce, options.slowRequests);
    this.#memory = options.memory;
    this.#log = options.log;
    this.#hooks = options.hooks;
    this.#soon = options.soon;
    this.#readRetryMs = options.readRetryMs;
    this.#now = options.now;
  }

  get lead(): bigint {
    return this.node.lead;
  }

  get term(): number {
    return this.node.term;
  }

  get vote(): bigint {
    return this.node.vote;
  }

  get role(): Role {
    return this.node.role;
  }

  get committed(): number {
    return this.node.committed;
  }

  get applied(): number {
    return this.node.applied;
  }

  /** Number of entries that are committed and not applied yet. */
  get backlog(): number {
    return this.node.committed - this.node.applied;
  }

  status(): Status {
    return this.node.status();
  }

  /** Number of proposals that wait for a leader and were not passed to raft. */
  get waitingProposals(): number {
    return this.#proposals.length;
  }

  schedule(): void {
    if (this.#scheduled || this.#stopped) return;
    this.#scheduled = true;
    this.#soon(this.#turnTask);
  }

  propose(data: Buffer): void {
    this.#proposals.push(data);
    this.schedule();
  }

  /** Drops proposals that were not passed to raft; their callers no longer wait. */
  withdrawAll(): void {
    this.#proposals = [];
  }

  proposeConfChange(change: ConfChange): StepError | undefined {
    const refused = this.node.proposeConfChange(change);
    this.schedule();
    return refused;
  }

  transferLeader(to: bigint): void {
    this.node.transferLeader(to);
    this.schedule();
  }

  reportUnreachable(id: bigint): void {
    this.node.reportUnreachable(id);
    this.schedule();
  }

  reportSnapshot(id: bigint, isSaved: boolean): void {
    this.node.reportSnapshot(id, isSaved ? 'finished' : 'failed');
    this.schedule();
  }

  forgetLeader(): void {
    this.node.forgetLeader();
    this.schedule();
  }

  campaign(): void {
    this.node.campaign();
    this.schedule();
  }

  /** @returns a function that cancels the read */
  read(waiter: ReadWaiter, deadlineMs: number): () => void {
    const cancel = this.reads.add(waiter, deadlineMs);
    this.schedule();
    return cancel;
  }

  /** Processes a message of another member. */
  step(message: Message): void {
    this.node.step(message);
    this.schedule();
  }

  tick(): void {
    this.node.tick();
    this.reads.ticked();
    this.#retryReads(this.#now() - this.#readRetryMs);
    this.schedule();
  }

  /** Continues to apply entries after `apply` returned undefined. */
  resume(): void {
    this.#applyStalled = false;
    this.schedule();
  }

  stop(): void {
    this.#stopped = true;
  }

  #turn(): void {
    if (this.#stopped) return;
    assert(!this.#turning, 'turns of the raft loop do not nest');
    this.#turning = true;
    this.#takeProposals();
    this.#takeReads();
    while (this.node.hasReady()) this.#handle(this.node.ready());
    if (this.node.leadsAlone) {
      // A small write on a quick disk: its entries are committed, applied and answered in this turn. With other voters,
      // heartbeats must not wait for the disk.
      this.#log.writeNow();
      while (this.node.hasReady()) this.#handle(this.node.ready());
    }
    // The apply takes about as long as the disk write, so both run in parallel.
    if (this.#applying.length > 0) this.#log.flush();
    this.#apply();
    while (this.node.hasReady()) this.#handle(this.node.ready());
    if (this.#applying.length > 0 && !this.#applyStalled && !this.#installing) this.schedule();
    if (this.#hooks.canRead()) this.reads.release(this.node.applied);
    this.#turning = false;
    this.#hooks.turned();
  }

  #takeProposals(): void {
    if (this.#proposals.length === 0) return;
    // Without a leader, proposals wait until there is one or they time out.
    if (!this.#knowsLeader) return;
    const datas = this.#proposals;
    this.#proposals = [];
    const refused = this.node.proposeBatch(datas);
    if (refused !== undefined) this.#hooks.dropped(datas, refused);
  }

  #takeReads(): void {
    if (this.#isLeadNew) {
      this.#isLeadNew = false;
      this.#retryReads(Infinity);
    }
    // Without a leader, reads wait until there is one or they time out.
    if (this.reads.hasArrivals && this.#knowsLeader) this.node.readIndex(this.reads.ask(this.#now()));
  }

  /** Sends ReadIndex again, since the message or its response may have been lost. */
  #retryReads(askedBeforeMs: number): void {
    if (!this.#knowsLeader) return;
    const context = this.reads.askAgain(this.#now(), askedBeforeMs);
    if (context !== undefined) this.node.readIndex(context);
  }

  get #knowsLeader(): boolean {
    return this.node.role === Role.Leader || this.node.lead !== None;
  }

  #handle(ready: Ready): void {
    const { softState } = ready;
    if (softState !== undefined) this.#noteLeadership(softState.lead, softState.role);
    let outgoing: Message[] | undefined;
    for (const message of ready.messages) {
      if (message.to === LocalAppendThread) this.#append(message);
      else if (message.to === LocalApplyThread) this.#applying.push(message);
      else (outgoing ??= []).push(message);
    }
    if (outgoing !== undefined) this.#hooks.send(outgoing);
    for (const { requestCtx, index } of ready.readStates)
      this.reads.confirmed(requestCtx, index, this.node.applied);
  }

  #noteLeadership(lead: bigint, role: Role): void {
    if (lead === this.#lead && role === this.#role) return;
    if (lead !== this.#lead && lead !== None) {
      this.#isLeadNew = true;
      this.schedule();
    }
    this.#lead = lead;
    this.#role = role;
    this.#hooks.leadershipChanged(lead, role);
  }

  #append(message: Message): void {
    if (this.#installing) {
      this.#waitingAppends.push(message);
      return;
    }
    const { entries, snapshot, responses } = message;
    if (snapshot !== undefined) {
      this.#install(message, snapshot);
      return;
    }
    const hardState =
      message.term === 0 && message.vote === None && message.commit === 0
        ? undefined
        : { term: message.term, vote: message.vote, commit: message.commit };
    this.#memory.append(entries);
    if (hardState !== undefined) this.#memory.setHardState(hardState);
    this.appendsBegun += 1;
    const bytes = payloadsSize(entries);
    this.unwrittenBytes += bytes;
    this.#log.append({ entries, hardState }, () => {
      this.appendsDone += 1;
      this.unwrittenBytes -= bytes;
      this.#deliver(responses);
      // A turn handles the responses itself, and an append without responses has no news for raft.
      if (responses.length > 0 && !this.#turning) this.schedule();
    });
  }

  #install(message: Message, snapshot: Snapshot): void {
    this.#installing = true;
    this.#hooks.install(snapshot, () => {
      this.#installing = false;
      this.#memory.applySnapshot(snapshot);
      const hardState = { term: message.term, vote: message.vote, commit: message.commit };
      this.#memory.append(message.entries);
      this.#memory.setHardState(hardState);
      this.#log.append({ entries: message.entries, hardState }, () => {
        this.#deliver(message.responses);
        this.schedule();
      });
      for (const waiting of this.#waitingAppends.splice(0)) this.#append(waiting);
    });
  }

  /**
   * Applies one slice and leaves the rest to the next turns. So the clients of the first entries get their responses,
   * and their next requests are already written to disk, while later entries are still being applied.
   */
  #apply(): void {
    const message = this.#applying[0];
    if (message === undefined || this.#applyStalled || this.#installing) return;
    const { entries } = message;
    const from = this.#appliedOfFirst;
    const to = sliceEnd(
      entries,
      from,
      this.backlog > LAGGING_ENTRIES ? BYTES_PER_LAGGING_SLICE : BYTES_PER_SLICE,
    );
    const applied = this.#hooks.apply(
      from === 0 && to === entries.length ? entries : entries.slice(from, to),
    );
    if (applied === undefined) {
      this.#applyStalled = true;
      return;
    }
    this.#appliedOfFirst += applied;
    if (this.#appliedOfFirst >= entries.length) {
      this.#applying.shift();
      this.#appliedOfFirst = 0;
      this.#deliver(message.responses);
    }
    if (this.#applying.length > 0) this.schedule();
  }

  #deliver(responses: readonly Message[]): void {
    let outgoing: Message[] | undefined;
    for (const response of responses) {
      if (response.to === this.node.id) this.node.step(response);
      else (outgoing ??= []).push(response);
    }
    if (outgoing !== undefined && !this.#stopped) this.#hooks.send(outgoing);
  }
}

/** Returns the end of the slice that starts at `from`. A slice has at least one entry. */
function sliceEnd(entries: readonly Entry[], from: number, maxBytes: number): number {
  const most = Math.min(entries.length, from + ENTRIES_PER_SLICE);
  let to = from;
  for (let bytes = 0; to < most && bytes < maxBytes; to += 1) bytes += entries[to]?.data?.length ?? 0;
  return to;
}
