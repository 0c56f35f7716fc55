import { defined } from '../lib/assert.ts';
import type { Scheduler } from '../ports/scheduler.ts';
import { nextConfState } from '../raft/confchange/changed.ts';
import {
  ConfChange,
  type ConfState,
  type Entry,
  type HardState,
  None,
  Role,
  type StepError,
  byId,
} from '../raft/types.ts';
import { ApplyQueue } from '../server/apply-queue.ts';
import type {
  ConsensusDriver,
  ConsensusHooks,
  ConsensusStatus,
  ConsensusTicks,
  MemberProgress,
} from '../server/consensus.ts';
import { ReadQueue, type ReadWaiter } from '../server/read-queue.ts';
import { ReadRequests } from '../server/read-requests.ts';
import type { SlowRequests } from '../server/slow-requests.ts';
import type { BatchReader } from '../serving/batch.ts';
import { Message, Snapshot } from '../wire/gen/raftpb.ts';
import { type LeaderView, readEntries, readFigures, readProgress, readReason, readRole } from './fields.ts';
import { OnlyMember } from './only-member.ts';
import { RaftLink, readRecords } from './raft-link.ts';
import { FromRaft, type RaftFigures, ToRaft } from './records.ts';
import { RemoteRaftLog } from './remote-raft-log.ts';

/** What raft starts from. */
export interface RaftStart {
  readonly hardState: HardState;
  readonly confState: ConfState;
  /** The last entry that the store has applied. */
  readonly applied: number;
  readonly firstIndex: number;
}

export interface RemoteRaftOptions {
  readonly id: bigint;
  readonly start: RaftStart;
  readonly hooks: ConsensusHooks;
  readonly scheduler: Scheduler;
  readonly now: () => number;
  /** Milliseconds after which an unconfirmed ReadIndex is sent again. */
  readonly readRetryMs: number;
  /** Created by `newReadNonce` at each start of the process. */
  readonly readNonce: Buffer;
  readonly slowRequests?: SlowRequests;
  /** Sends a batch of records to raft. */
  readonly post: (batch: ArrayBuffer) => void;
  /** See `FileLogOptions.onSync`. */
  readonly synced?: (durationMs: number, bytes: number, bufferMs: number) => void;
}

/** More than without the thread, since raft and the log do not wait for a slice. */
const ENTRIES_PER_SLICE = 128;

const NO_VIEW: LeaderView = { leadTransferee: None, progress: new Map() };

/**
 * Drives a raft in another thread, `RaftHost`. What this end knows of raft may be some milliseconds old, as what a member
 * knows of another one. So nothing here decides what raft decides: it applies what raft has committed, and reads after
 * raft has confirmed.
 */
export class RemoteRaft implements ConsensusDriver {
  readonly log: RemoteRaftLog;
  readonly reads: ReadQueue;
  readonly #options: RemoteRaftOptions;
  readonly #hooks: ConsensusHooks;
  readonly #link: RaftLink;
  readonly #applying: ApplyQueue<{ readonly entries: readonly Entry[] }>;
  readonly #readRequests: ReadRequests;
  readonly #onlyMember: OnlyMember;
  /** Callers of proposed changes of the configuration that raft has not refused. */
  readonly #changes = new Map<bigint, (reason: StepError) => void>();
  #confState: ConfState;
  #figures: RaftFigures;
  #view = NO_VIEW;
  #lead = None;
  #role: Role = Role.Follower;
  #committed: number;
  #applied: number;
  #steppedBytes = 0;
  /** Messages to other members in the batch that is being read. */
  #outgoing: Message[] = [];
  #installs = 0;
  #isInstalling = false;
  /** Proposals were sent since the last `withdrawAll`. */
  #hasProposed = false;
  #ticked: () => void = () => undefined;
  #scheduled = false;
  #stopped = false;
  readonly #turnTask = (): void => {
    this.#scheduled = false;
    this.#turn();
  };

  constructor(options: RemoteRaftOptions) {
    const { id, hooks, scheduler, start, post } = options;
    const { hardState, confState, applied, firstIndex } = start;
    this.#options = options;
    this.#hooks = hooks;
    this.#link = new RaftLink({ post, scheduler });
    this.#applying = new ApplyQueue((entries) => hooks.apply(entries), ENTRIES_PER_SLICE);
    this.#onlyMember = new OnlyMember(id);
    this.#onlyMember.changed(confState);
    this.reads = new ReadQueue(options.readNonce, options.slowRequests);
    this.#readRequests = new ReadRequests({
      reads: this.reads,
      now: options.now,
      retryMs: options.readRetryMs,
      knowsLeader: () => this.#role === Role.Leader || this.#lead !== None,
      readIndex: (context, isRetry) => this.#readIndex(context, isRetry),
    });
    this.log = new RemoteRaftLog(this.#link, firstIndex, () => this.schedule());
    this.#confState = confState;
    this.#committed = hardState.commit;
    this.#applied = applied;
    this.#figures = figuresAtStart(start);
  }

  get lead(): bigint {
    return this.#lead;
  }

  get role(): Role {
    return this.#role;
  }

  get term(): number {
    return this.#figures.term;
  }

  get vote(): bigint {
    return this.#figures.vote;
  }

  get committed(): number {
    return this.#committed;
  }

  get applied(): number {
    return this.#applied;
  }

  get backlog(): number {
    return this.#committed - this.#applied;
  }

  get appendsBegun(): number {
    return this.#figures.appendsBegun;
  }

  get appendsDone(): number {
    return this.#figures.appendsDone;
  }

  /** Messages on their way count, too. */
  get unwrittenBytes(): number {
    return this.#figures.unwrittenBytes + this.#steppedBytes - this.#figures.steppedBytes;
  }

  get waitingProposals(): number {
    return this.#figures.waitingProposals;
  }

  get confState(): ConfState {
    return this.#confState;
  }

  status(): ConsensusStatus {
    const { voters, votersOutgoing, learners, learnersNext, autoLeave } = this.#confState;
    return {
      id: this.#options.id,
      hardState: { term: this.term, vote: this.vote, commit: this.#committed },
      softState: { lead: this.#lead, role: this.#role },
      applied: this.#applied,
      leadTransferee: this.#view.leadTransferee,
      progress: this.#progress(),
      config: {
        voters: { incoming: new Set(voters), outgoing: new Set(votersOutgoing) },
        learners: new Set(learners),
        learnersNext: new Set(learnersNext),
        autoLeave,
      },
    };
  }

  start({ intervalMs, ticked, every }: ConsensusTicks): () => void {
    this.#ticked = ticked;
    this.#record(ToRaft.START).u32(intervalMs);
    return this.#options.scheduler.every(intervalMs, every);
  }

  schedule(): void {
    if (this.#scheduled || this.#stopped) return;
    this.#scheduled = true;
    this.#options.scheduler.soon(this.#turnTask);
  }

  propose(data: Buffer): void {
    this.#hasProposed = true;
    this.#record(ToRaft.PROPOSE).bytes(data, data.length);
  }

  withdrawAll(): void {
    if (!this.#hasProposed) return;
    this.#hasProposed = false;
    this.#record(ToRaft.WITHDRAW);
  }

  proposeConfChange(change: ConfChange, refused: (reason: StepError) => void): void {
    const bytes = ConfChange.encode(change);
    this.#changes.set(change.id, refused);
    this.#record(ToRaft.PROPOSE_CHANGE).bytes(bytes, bytes.length);
  }

  applyConfChange(change: ConfChange): ConfState {
    this.#confState = nextConfState(this.#confState, change);
    this.#onlyMember.changed(this.#confState);
    this.#changes.delete(change.id);
    const bytes = ConfChange.encode(change);
    const out = this.#record(ToRaft.APPLY_CHANGE);
    out.u32(this.#installs);
    out.bytes(bytes, bytes.length);
    return this.#confState;
  }

  transferLeader(to: bigint): void {
    this.#record(ToRaft.TRANSFER).u64(to);
  }

  reportUnreachable(id: bigint): void {
    this.#record(ToRaft.UNREACHABLE).u64(id);
  }

  reportSnapshot(id: bigint, isSaved: boolean): void {
    const out = this.#record(ToRaft.SNAPSHOT_ENDED);
    out.u64(id);
    out.u8(isSaved ? 1 : 0);
  }

  forgetLeader(): void {
    this.#record(ToRaft.FORGET_LEADER);
  }

  campaign(): void {
    this.#record(ToRaft.CAMPAIGN);
  }

  tick(): void {
    this.#record(ToRaft.TICK);
  }

  step(message: Message): void {
    const bytes = Message.encode(message);
    this.#steppedBytes += bytes.length;
    this.#record(ToRaft.STEP).bytes(bytes, bytes.length);
  }

  read(waiter: ReadWaiter, deadlineMs: number): () => void {
    const cancel = this.reads.add(waiter, deadlineMs);
    this.schedule();
    return cancel;
  }

  resume(): void {
    this.#applying.resume();
    this.schedule();
  }

  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#link.record(ToRaft.STOP);
    this.#link.flush();
  }

  /** Handles a batch of records of raft. */
  receive(batch: ArrayBuffer): void {
    if (this.#stopped) return;
    readRecords(batch, (kind, reader) => this.#read(kind, reader));
    this.#sendOutgoing();
    this.schedule();
  }

  /** As raft, the leader has a view of exactly the members of the configuration. That of raft may be of an older one. */
  #progress(): ReadonlyMap<bigint, MemberProgress> {
    const progress = new Map<bigint, MemberProgress>();
    if (this.#role !== Role.Leader) return progress;
    const { voters, votersOutgoing, learners, learnersNext } = this.#confState;
    for (const id of [...voters, ...votersOutgoing, ...learners, ...learnersNext].sort(byId)) {
      const { match = 0, recentActive = true } = this.#view.progress.get(id) ?? {};
      progress.set(id, { match, recentActive, isLearner: learners.includes(id) });
    }
    return progress;
  }

  #record(kind: number) {
    this.schedule();
    return this.#link.record(kind);
  }

  #turn(): void {
    if (this.#stopped) return;
    this.#readRequests.take();
    // Raft and the log work while entries are applied here.
    this.#link.flush();
    this.#apply();
    if (this.#applying.isReady && !this.#isInstalling) this.schedule();
    if (this.#hooks.canRead()) this.reads.release(this.#applied);
    this.#hooks.turned();
    this.#link.flush();
  }

  #readIndex(context: Buffer, isRetry: boolean): void {
    if (!isRetry && this.#onlyMember.isSure(this.#applied)) {
      this.reads.confirmed(context, this.#applied, this.#applied);
      return;
    }
    this.#onlyMember.asked(context);
    this.#record(ToRaft.READ_INDEX).bytes(context, context.length);
  }

  #apply(): void {
    if (this.#isInstalling) return;
    const batches = this.#applying.applySlice(this.backlog);
    const last = batches.at(-1);
    if (last === undefined) return;
    this.#applied = Math.max(this.#applied, last.entries.at(-1)?.index ?? 0);
    // Raft passes out more when it knows what is applied. If nothing more is committed, it can learn that later.
    const isUrgent = this.backlog > 0;
    const out = isUrgent ? this.#link.record(ToRaft.APPLIED) : this.#link.lateRecord(ToRaft.APPLIED);
    out.u32(batches.length);
    if (!isUrgent) this.#link.late();
  }

  #read(kind: number, reader: BatchReader): void {
    switch (kind) {
      case FromRaft.LEADERSHIP:
        this.#leadershipChanged(reader.u64(), readRole(reader), reader.f64());
        return;
      case FromRaft.COMMITTED:
        this.#addCommitted(readEntries(reader));
        return;
      case FromRaft.READABLE: {
        const index = reader.f64();
        const context = reader.bytes();
        this.#onlyMember.confirmed(context, index);
        this.reads.confirmed(context, index, this.#applied);
        return;
      }
      case FromRaft.SEND:
        this.#outgoing.push(Message.decode(reader.bytes()));
        return;
      case FromRaft.DROPPED: {
        const reason = readReason(reader);
        this.#hooks.dropped([reader.bytes()], reason);
        return;
      }
      case FromRaft.CHANGE_REFUSED: {
        const id = reader.u64();
        const refused = this.#changes.get(id);
        this.#changes.delete(id);
        refused?.(readReason(reader));
        return;
      }
      case FromRaft.INSTALL:
        this.#install(Snapshot.decode(reader.bytes()));
        return;
      case FromRaft.RELEASED:
        this.log.released(reader.u32());
        return;
      case FromRaft.TICKED:
        this.#readRequests.ticked();
        this.#ticked();
        return;
      case FromRaft.PROGRESS:
        this.#view = readProgress(reader);
        return;
      case FromRaft.SYNCED: {
        const durationMs = reader.f64();
        const bytes = reader.f64();
        this.#options.synced?.(durationMs, bytes, reader.f64());
        return;
      }
      case FromRaft.FIGURES:
        this.#figures = readFigures(reader);
        this.#committed = Math.max(this.#committed, this.#figures.committed);
        this.log.noted(this.#figures);
        return;
      default:
        throw new Error(`unknown record ${kind} of raft`);
    }
  }

  #sendOutgoing(): void {
    if (this.#outgoing.length === 0) return;
    const messages = this.#outgoing;
    this.#outgoing = [];
    this.#hooks.send(messages);
  }

  #leadershipChanged(lead: bigint, role: Role, term: number): void {
    this.#readRequests.leadChanged(lead);
    this.#lead = lead;
    this.#role = role;
    this.#figures = { ...this.#figures, term };
    this.#view = NO_VIEW;
    this.#onlyMember.changed(this.#confState);
    this.#hooks.leadershipChanged(lead, role);
  }

  #addCommitted(entries: readonly Entry[]): void {
    this.#applying.add({ entries });
    this.#committed = Math.max(this.#committed, entries.at(-1)?.index ?? 0);
  }

  /** Entries that were passed out before the snapshot are in it, and are applied as such to no effect. */
  #install(snapshot: Snapshot): void {
    const { index, confState } = defined(snapshot.metadata, 'a snapshot has metadata');
    this.#isInstalling = true;
    this.#installs += 1;
    this.#confState = defined(confState, 'a snapshot has a configuration');
    this.#onlyMember.changed(this.#confState);
    this.#hooks.install(snapshot, () => {
      this.#isInstalling = false;
      this.#applied = Math.max(this.#applied, index);
      this.#committed = Math.max(this.#committed, index);
      this.#record(ToRaft.INSTALLED);
    });
  }
}

function figuresAtStart({ hardState, firstIndex }: RaftStart): RaftFigures {
  return {
    term: hardState.term,
    vote: hardState.vote,
    committed: hardState.commit,
    appendsBegun: 0,
    appendsDone: 0,
    unwrittenBytes: 0,
    unreleasedBytes: 0,
    room: Infinity,
    firstIndex,
    waitingProposals: 0,
    steppedBytes: 0,
  };
}
