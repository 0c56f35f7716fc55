import type { LogStore } from '../ports/log-store.ts';
import type { Scheduler } from '../ports/scheduler.ts';
import type { MemoryStorage } from '../raft/memory-storage.ts';
import type { RawNode } from '../raft/raw-node.ts';
import type { Status } from '../raft/status.ts';
import type { ConfChange, ConfState, Message, Role, Snapshot, StepError } from '../raft/types.ts';
import { ApplyQueue } from './apply-queue.ts';
import type { ConsensusDriver, ConsensusHooks, ConsensusTicks } from './consensus.ts';
import { type LocalRaftLog, RaftCore } from './raft-core.ts';
import { ReadQueue, type ReadWaiter } from './read-queue.ts';
import { ReadRequests } from './read-requests.ts';
import type { SlowRequests } from './slow-requests.ts';

/** Few, so that the first entries are answered while the next ones are written. */
const ENTRIES_PER_SLICE = 64;

export interface RaftLoopOptions {
  readonly node: RawNode;
  readonly memory: MemoryStorage;
  readonly log: LogStore;
  readonly hooks: ConsensusHooks;
  /** `soon` runs a task after all input that arrived together has been added. */
  readonly scheduler: Pick<Scheduler, 'soon' | 'every'>;
  /** Milliseconds after which an unconfirmed ReadIndex is sent again. */
  readonly readRetryMs: number;
  /** Created by `newReadNonce` at each start of the process. */
  readonly readNonce: Buffer;
  readonly slowRequests?: SlowRequests;
  readonly now: () => number;
  /** See `LocalRaftLog`. */
  readonly catchupBytes: number;
}

/**
 * Drives raft in the thread of the member. All input that arrives between two turns (proposals, reads, messages, disk
 * completions, ticks) goes into raft together. So concurrent proposals share one append, and concurrent reads share one
 * ReadIndex. Within a turn the append starts before committed entries are applied, so that disk and apply run in
 * parallel.
 */
export class RaftLoop implements ConsensusDriver {
  readonly log: LocalRaftLog;
  readonly reads: ReadQueue;
  readonly #node: RawNode;
  readonly #core: RaftCore;
  readonly #store: LogStore;
  readonly #hooks: ConsensusHooks;
  readonly #scheduler: Pick<Scheduler, 'soon' | 'every'>;
  readonly #applying: ApplyQueue<Message>;
  readonly #readRequests: ReadRequests;
  #scheduled = false;
  #stopped = false;
  readonly #turnTask = (): void => {
    this.#scheduled = false;
    this.#turn();
  };

  constructor(options: RaftLoopOptions) {
    const { node, memory, log, hooks } = options;
    this.#node = node;
    this.#store = log;
    this.#hooks = hooks;
    this.#scheduler = options.scheduler;
    this.#applying = new ApplyQueue((entries) => hooks.apply(entries), ENTRIES_PER_SLICE);
    this.reads = new ReadQueue(options.readNonce, options.slowRequests);
    this.#core = new RaftCore({
      node,
      memory,
      log,
      catchupBytes: options.catchupBytes,
      hooks: {
        send: (messages) => hooks.send(messages),
        leadershipChanged: (lead, role) => this.#leadershipChanged(lead, role),
        dropped: (datas, reason) => hooks.dropped(datas, reason),
        committed: (message) => this.#applying.add(message),
        confirmed: (reads) => {
          for (const { requestCtx, index } of reads) this.reads.confirmed(requestCtx, index, node.applied);
        },
        install: (snapshot) => this.#install(snapshot),
        wake: () => this.schedule(),
      },
    });
    this.log = this.#core.log;
    this.#readRequests = new ReadRequests({
      reads: this.reads,
      now: options.now,
      retryMs: options.readRetryMs,
      knowsLeader: () => this.#core.knowsLeader,
      readIndex: (context) => node.readIndex(context),
    });
  }

  get lead(): bigint {
    return this.#node.lead;
  }

  get term(): number {
    return this.#node.term;
  }

  get vote(): bigint {
    return this.#node.vote;
  }

  get role(): Role {
    return this.#node.role;
  }

  get committed(): number {
    return this.#node.committed;
  }

  get applied(): number {
    return this.#node.applied;
  }

  get backlog(): number {
    return this.#node.committed - this.#node.applied;
  }

  get appendsBegun(): number {
    return this.#core.appendsBegun;
  }

  get appendsDone(): number {
    return this.#core.appendsDone;
  }

  get unwrittenBytes(): number {
    return this.#core.unwrittenBytes;
  }

  get confState(): ConfState {
    return this.#node.confState();
  }

  status(): Status {
    return this.#node.status();
  }

  get waitingProposals(): number {
    return this.#core.waitingProposals;
  }

  start({ intervalMs, ticked, every }: ConsensusTicks): () => void {
    return this.#scheduler.every(intervalMs, () => {
      this.tick();
      ticked();
      every();
    });
  }

  schedule(): void {
    if (this.#scheduled || this.#stopped) return;
    this.#scheduled = true;
    this.#scheduler.soon(this.#turnTask);
  }

  propose(data: Buffer): void {
    this.#core.propose(data);
    this.schedule();
  }

  withdrawAll(): void {
    this.#core.withdrawAll();
  }

  proposeConfChange(change: ConfChange, refused: (reason: StepError) => void): void {
    const reason = this.#node.proposeConfChange(change);
    this.schedule();
    if (reason !== undefined) refused(reason);
  }

  applyConfChange(change: ConfChange): ConfState {
    return this.#node.applyConfChange(change);
  }

  transferLeader(to: bigint): void {
    this.#node.transferLeader(to);
    this.schedule();
  }

  reportUnreachable(id: bigint): void {
    this.#node.reportUnreachable(id);
    this.schedule();
  }

  reportSnapshot(id: bigint, isSaved: boolean): void {
    this.#node.reportSnapshot(id, isSaved ? 'finished' : 'failed');
    this.schedule();
  }

  forgetLeader(): void {
    this.#node.forgetLeader();
    this.schedule();
  }

  campaign(): void {
    this.#node.campaign();
    this.schedule();
  }

  read(waiter: ReadWaiter, deadlineMs: number): () => void {
    const cancel = this.reads.add(waiter, deadlineMs);
    this.schedule();
    return cancel;
  }

  step(message: Message): void {
    this.#node.step(message);
    this.schedule();
  }

  tick(): void {
    this.#node.tick();
    this.#readRequests.ticked();
    this.schedule();
  }

  resume(): void {
    this.#applying.resume();
    this.schedule();
  }

  stop(): void {
    this.#stopped = true;
    this.#core.stop();
  }

  #turn(): void {
    if (this.#stopped) return;
    const core = this.#core;
    core.turn(() => {
      core.takeProposals();
      this.#readRequests.take();
      core.handle();
      core.writeAlone();
      // The apply takes about as long as the disk write, so both run in parallel.
      if (!this.#applying.isEmpty) this.#store.flush();
      this.#apply();
      core.handle();
      if (this.#applying.isReady && !core.isInstalling) this.schedule();
      if (this.#hooks.canRead()) this.reads.release(this.#node.applied);
    });
    this.#hooks.turned();
  }

  #leadershipChanged(lead: bigint, role: Role): void {
    if (this.#readRequests.leadChanged(lead)) this.schedule();
    this.#hooks.leadershipChanged(lead, role);
  }

  #install(snapshot: Snapshot): void {
    this.#hooks.install(snapshot, () => {
      this.#core.installed();
      this.schedule();
    });
  }

  #apply(): void {
    if (this.#core.isInstalling) return;
    for (const applied of this.#applying.applySlice(this.backlog)) this.#core.applied(applied);
  }
}
