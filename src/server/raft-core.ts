import { assert } from '../lib/assert.ts';
import type { LogSnapshot, LogStore } from '../ports/log-store.ts';
import { payloadsSize } from '../raft/entry-size.ts';
import type { MemoryStorage } from '../raft/memory-storage.ts';
import type { RawNode } from '../raft/raw-node.ts';
import {
  LocalAppendThread,
  LocalApplyThread,
  type Message,
  None,
  type Ready,
  type ReadState,
  Role,
  type Snapshot,
} from '../raft/types.ts';
import type { Consensus, ConsensusHooks, RaftLog } from './consensus.ts';
import { LaggingMembers } from './lagging-members.ts';

export interface RaftCoreHooks extends Pick<ConsensusHooks, 'send' | 'leadershipChanged' | 'dropped'> {
  /** Entries to apply. `applied` is called with the same message afterwards, in order. */
  committed(message: Message): void;
  confirmed(reads: readonly ReadState[]): void;
  /** The snapshot is to be installed. `installed` is called afterwards. */
  install(snapshot: Snapshot): void;
  /** Outside of a turn, an append has reached the disk and raft has news. */
  wake(): void;
}

export interface RaftCoreOptions {
  readonly node: RawNode;
  readonly memory: MemoryStorage;
  readonly log: LogStore;
  /** See `LocalRaftLog`. */
  readonly catchupBytes: number;
  readonly hooks: RaftCoreHooks;
}

interface Installation {
  readonly message: Message;
  readonly snapshot: Snapshot;
}

/** Raft with its log: handles what raft passes out, and tells it when that is done. */
export class RaftCore {
  readonly node: RawNode;
  readonly log: LocalRaftLog;
  appendsBegun = 0;
  appendsDone = 0;
  unwrittenBytes = 0;
  /** Number of snapshots passed to `install`. */
  installs = 0;
  readonly #memory: MemoryStorage;
  readonly #store: LogStore;
  readonly #hooks: RaftCoreHooks;
  #proposals: Buffer[] = [];
  #installing: Installation | undefined;
  /** Appends that wait for the installation of a snapshot. */
  readonly #waitingAppends: Message[] = [];
  #turning = false;
  #stopped = false;
  #lead = None;
  #role: Role = Role.Follower;

  constructor({ node, memory, log, catchupBytes, hooks }: RaftCoreOptions) {
    this.node = node;
    this.log = new LocalRaftLog({ memory, store: log, consensus: node, catchupBytes });
    this.#memory = memory;
    this.#store = log;
    this.#hooks = hooks;
  }

  get knowsLeader(): boolean {
    return this.node.role === Role.Leader || this.node.lead !== None;
  }

  /** Number of proposals that wait for a leader and were not passed to raft. */
  get waitingProposals(): number {
    return this.#proposals.length;
  }

  get isInstalling(): boolean {
    return this.#installing !== undefined;
  }

  /** Nothing is sent any more. */
  stop(): void {
    this.#stopped = true;
  }

  /** Runs a turn: input for raft, and what raft passes out. */
  turn(run: () => void): void {
    assert(!this.#turning, 'turns of raft do not nest');
    this.#turning = true;
    run();
    this.#turning = false;
  }

  propose(data: Buffer): void {
    this.#proposals.push(data);
  }

  /** Drops proposals that were not passed to raft. */
  withdrawAll(): void {
    this.#proposals = [];
  }

  /** Passes the proposals to raft. Without a leader, they wait until there is one or they are withdrawn. */
  takeProposals(): void {
    if (this.#proposals.length === 0 || !this.knowsLeader) return;
    const datas = this.#proposals;
    this.#proposals = [];
    const refused = this.node.proposeBatch(datas);
    if (refused !== undefined) this.#hooks.dropped(datas, refused);
  }

  /** Handles everything that raft has passed out. Entries to apply are only passed on. */
  handle(): void {
    while (this.node.hasReady()) this.#handle(this.node.ready());
  }

  /**
   * A small write on a quick disk: its entries are committed, applied and answered in this turn. With other voters,
   * heartbeats must not wait for the disk.
   */
  writeAlone(): void {
    if (!this.node.leadsAlone) return;
    this.#store.writeNow();
    this.handle();
  }

  applied(message: Message): void {
    this.#deliver(message.responses);
  }

  /** The snapshot that was passed to `install` is durable, in the store and in the log. */
  installed(): void {
    assert(this.#installing !== undefined, 'a snapshot is being installed');
    const { message, snapshot } = this.#installing;
    this.#installing = undefined;
    this.#memory.applySnapshot(snapshot);
    const hardState = { term: message.term, vote: message.vote, commit: message.commit };
    this.#memory.append(message.entries);
    this.#memory.setHardState(hardState);
    this.#store.append({ entries: message.entries, hardState }, () => {
      this.#deliver(message.responses);
      this.#hooks.wake();
    });
    for (const waiting of this.#waitingAppends.splice(0)) this.#append(waiting);
  }

  #handle(ready: Ready): void {
    const { softState } = ready;
    if (softState !== undefined) this.#noteLeadership(softState.lead, softState.role);
    let outgoing: Message[] | undefined;
    for (const message of ready.messages) {
      if (message.to === LocalAppendThread) this.#append(message);
      else if (message.to === LocalApplyThread) this.#hooks.committed(message);
      else (outgoing ??= []).push(message);
    }
    if (outgoing !== undefined) this.#hooks.send(outgoing);
    if (ready.readStates.length > 0) this.#hooks.confirmed(ready.readStates);
  }

  #noteLeadership(lead: bigint, role: Role): void {
    if (lead === this.#lead && role === this.#role) return;
    this.#lead = lead;
    this.#role = role;
    this.#hooks.leadershipChanged(lead, role);
  }

  #append(message: Message): void {
    if (this.#installing !== undefined) {
      this.#waitingAppends.push(message);
      return;
    }
    const { entries, snapshot, responses } = message;
    if (snapshot !== undefined) {
      this.#installing = { message, snapshot };
      this.installs += 1;
      this.#hooks.install(snapshot);
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
    this.#store.append({ entries, hardState }, () => {
      this.appendsDone += 1;
      this.unwrittenBytes -= bytes;
      this.#deliver(responses);
      // A turn handles the responses itself, and an append without responses has no news for raft.
      if (responses.length > 0 && !this.#turning) this.#hooks.wake();
    });
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

/** The log of raft in this thread. */
export class LocalRaftLog implements RaftLog {
  readonly #memory: MemoryStorage;
  readonly #store: LogStore;
  readonly #consensus: Pick<Consensus, 'applied' | 'status'>;
  readonly #lagging: LaggingMembers;

  constructor({
    memory,
    store,
    consensus,
    catchupBytes,
  }: {
    readonly memory: MemoryStorage;
    readonly store: LogStore;
    readonly consensus: Pick<Consensus, 'applied' | 'status'>;
    /** Maximum bytes of further entries that a leader keeps for members that lag. */
    readonly catchupBytes: number;
  }) {
    this.#memory = memory;
    this.#store = store;
    this.#consensus = consensus;
    this.#lagging = new LaggingMembers({ consensus, memory, maxBytes: catchupBytes });
  }

  get room(): number {
    return this.#store.room;
  }

  get unreleasedBytes(): number {
    return this.#store.unreleasedBytes;
  }

  get firstIndex(): number {
    return this.#memory.firstIndex();
  }

  release(snapshot: LogSnapshot): Promise<void> {
    return this.#store.release(snapshot);
  }

  /**
   * Raft passes out entries in batches, which are applied in slices, and its applied index moves only at the end of a
   * batch. It reads entries after its own applied index, so these must not be removed.
   */
  removeUpTo(upTo: number, { index, confState }: Pick<LogSnapshot, 'index' | 'confState'>): void {
    this.#memory.createSnapshot(index, confState, undefined);
    if (upTo > 0) this.#memory.compact(Math.min(this.#lagging.removable(upTo), this.#consensus.applied));
  }
}
