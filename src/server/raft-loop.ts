import { assert } from '../lib/assert.ts';
import type { LogStore } from '../ports/log-store.ts';
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

/** Entries applied in one turn, and the size at which fewer are enough. */
const ENTRIES_PER_SLICE = 64;
const BYTES_PER_SLICE = 256 * 1024;

/** What the loop hands on. All are called from within a turn and must not call the loop back at once. */
export interface RaftLoopHooks {
  /**
   * Applies committed entries that follow each other.
   *
   * @returns how many from the first on, perhaps none when one of them takes several turns; undefined when it cannot
   * now and `resume` will be called
   */
  apply(entries: readonly Entry[]): number | undefined;
  /** Messages to other members, in order. */
  send(messages: readonly Message[]): void;
  /** A snapshot of the leader takes the place of log and state; `done` once both are durable. */
  install(snapshot: Snapshot, done: () => void): void;
  leadershipChanged(lead: bigint, role: Role): void;
  /** Proposals dropped for certain. */
  dropped(datas: readonly Buffer[], reason: StepError): void;
  /** The turn is over: what it produced may be sent. */
  turned(): void;
}

export interface RaftLoopOptions {
  readonly node: RawNode;
  readonly memory: MemoryStorage;
  readonly log: LogStore;
  readonly hooks: RaftLoopHooks;
  /** Runs a task soon, after what arrived together has been taken in. */
  readonly soon: (task: () => void) => void;
  /** Milliseconds after which a read that nobody confirmed is asked for again. */
  readonly readRetryMs: number;
  /** Made by `newReadNonce` with each start of the process. */
  readonly readNonce: Buffer;
  readonly now: () => number;
}

/**
 * Drives raft: everything that arrives between two turns (proposals, reads, messages, disk completions, ticks) goes
 * into raft together, so that concurrent proposals share one append and concurrent reads one ReadIndex. Within a
 * turn the append is handed to the disk before committed entries are applied, so that the two overlap.
 */
export class RaftLoop implements Consensus, ConsensusInput {
  readonly node: RawNode;
  readonly reads: ReadQueue;
  /** Appends handed to the log so far, and how many of them, in their order, it has on disk. */
  appendsBegun = 0;
  appendsDone = 0;
  readonly #memory: MemoryStorage;
  readonly #log: LogStore;
  readonly #hooks: RaftLoopHooks;
  readonly #soon: (task: () => void) => void;
  readonly #readRetryMs: number;
  readonly #now: () => number;
  #proposals: Buffer[] = [];
  /** Another leader is known: it has not been asked for what was asked of the one before. */
  #isLeadNew = false;
  readonly #applying: Message[] = [];
  /** Entries of the first of `#applying` that are applied. */
  #appliedOfFirst = 0;
  #applyStalled = false;
  #installing = false;
  /** Appends that follow a snapshot whose installation is under way. */
  readonly #appendsBehind: Message[] = [];
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
    this.reads = new ReadQueue(options.readNonce);
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

  /** Entries committed and not applied yet. */
  get backlog(): number {
    return this.node.committed - this.node.applied;
  }

  status(): Status {
    return this.node.status();
  }

  /** Proposals that raft has not seen, as there is no leader to take them. */
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

  /** Takes back proposals that raft has not seen: nobody waits for them any more. */
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

  /** @returns what takes the read back */
  read(waiter: ReadWaiter, deadlineMs: number): () => void {
    const cancel = this.reads.add(waiter, deadlineMs);
    this.schedule();
    return cancel;
  }

  /** A message of another member. */
  step(message: Message): void {
    this.node.step(message);
    this.schedule();
  }

  tick(): void {
    this.node.tick();
    this.#retryReads(this.#now() - this.#readRetryMs);
    this.schedule();
  }

  /** Goes on applying after `apply` returned false. */
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
    // Applying takes about as long as the disk does: the two go on side by side.
    if (this.#applying.length > 0) this.#log.flush();
    this.#apply();
    while (this.node.hasReady()) this.#handle(this.node.ready());
    if (this.#applying.length > 0 && !this.#applyStalled && !this.#installing) this.schedule();
    this.reads.release(this.node.applied);
    this.#turning = false;
    this.#hooks.turned();
  }

  #takeProposals(): void {
    if (this.#proposals.length === 0) return;
    // Without a leader proposals wait for one, or for their time to run out.
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
    // Without a leader reads wait for one, or for their time to run out.
    if (this.reads.hasArrivals && this.#knowsLeader) this.node.readIndex(this.reads.ask(this.#now()));
  }

  /** A ReadIndex, or its answer, may be lost on its way. */
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
    for (const { requestCtx, index } of ready.readStates) this.reads.confirmed(requestCtx, index);
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
      this.#appendsBehind.push(message);
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
    this.#log.append({ entries, hardState }, () => {
      this.appendsDone += 1;
      this.#deliver(responses);
      this.schedule();
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
      for (const behind of this.#appendsBehind.splice(0)) this.#append(behind);
    });
  }

  /**
   * Applies one slice and leaves the rest to the next turns: the clients of the first entries are answered, and
   * their next requests on their way to the disk, while the later ones are still being applied.
   */
  #apply(): void {
    const message = this.#applying[0];
    if (message === undefined || this.#applyStalled || this.#installing) return;
    const { entries } = message;
    const from = this.#appliedOfFirst;
    const to = sliceEnd(entries, from);
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

/** Where the slice that begins with an entry ends: it has at least that one. */
function sliceEnd(entries: readonly Entry[], from: number): number {
  const most = Math.min(entries.length, from + ENTRIES_PER_SLICE);
  let to = from;
  for (let bytes = 0; to < most && bytes < BYTES_PER_SLICE; to += 1) bytes += entries[to]?.data?.length ?? 0;
  return to;
}
