import { assert, defined } from '../../lib/assert.ts';
import type { Logger } from '../../ports/logger.ts';
import { decodeConfChange, isConfChange } from '../confchange/conf-change.ts';
import type { RaftConfig } from '../config.ts';
import { MemoryStorage } from '../memory-storage.ts';
import { RawNode } from '../raw-node.ts';
import { LocalAppendThread, LocalApplyThread, Role, isEmptyHardState, snapshotIndex } from '../types.ts';
import type { ConfState, Entry, Message, Snapshot } from '../types.ts';

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };

export type ClusterOptions = Pick<
  RaftConfig,
  'preVote' | 'checkQuorum' | 'maxSizePerMessage' | 'stepDownOnRemoval' | 'maxCommittedSizePerReady'
>;

/** A member that can crash: what it wrote and has not been told is durable may be lost. */
export class Member {
  readonly id: bigint;
  readonly disk = new MemoryStorage();
  node: RawNode;
  /** Writes and entries to apply that were handed out and not yet done. */
  writes: Message[] = [];
  toApply: Message[] = [];
  /** The state machine: the data applied, in order. */
  state: string[] = [];
  #confState: ConfState;
  #durableCommit = 0;
  readonly #options: ClusterOptions;
  readonly #randomInt: (bound: number) => number;

  constructor(
    id: bigint,
    confState: ConfState,
    options: ClusterOptions,
    randomInt: (bound: number) => number,
  ) {
    this.id = id;
    this.#options = options;
    this.#randomInt = randomInt;
    this.#confState = confState;
    this.disk.applySnapshot({ data: Buffer.from('[]'), metadata: { confState, index: 1, term: 1 } });
    this.node = this.#start();
  }

  #start(): RawNode {
    const snapshot = this.disk.snapshot();
    assert(snapshot !== 'temporarily-unavailable', 'a memory storage always has its snapshot');
    this.#restoreState(snapshot);
    return new RawNode({
      ...this.#options,
      id: this.id,
      electionTick: 10,
      heartbeatTick: 2,
      storage: this.disk,
      applied: snapshotIndex(snapshot),
      asyncStorageWrites: true,
      maxInflightMessages: 4,
      randomInt: this.#randomInt,
      logger: silent,
    });
  }

  #restoreState(snapshot: Snapshot): void {
    this.state = JSON.parse(defined(snapshot.data, 'a snapshot has data').toString()) as string[];
    this.#confState = defined(snapshot.metadata?.confState, 'a snapshot has a configuration');
  }

  /** Loses power: some of the writes under way may have reached the disk, in order. */
  crash(): void {
    for (let lucky = this.#randomInt(this.writes.length + 1); lucky > 0; lucky--) this.finishWrite();
    this.writes = [];
    this.toApply = [];
    this.node = this.#start();
  }

  /** Takes the work there is. @returns messages for others */
  turn(): Message[] {
    const out: Message[] = [];
    while (this.node.hasReady()) {
      for (const message of this.node.ready().messages) {
        if (message.to === LocalAppendThread) {
          this.writes.push(message);
          if (message.snapshot !== undefined) this.#skipApplies();
        } else if (message.to === LocalApplyThread) this.toApply.push(message);
        else out.push(message);
      }
    }
    return out;
  }

  /** A snapshot has all that was still to be applied, and its configuration is in force already. */
  #skipApplies(): void {
    for (const message of this.toApply) for (const response of message.responses) this.node.step(response);
    this.toApply = [];
  }

  /** The oldest write becomes durable. @returns what may be said now, to this member and to others */
  finishWrite(): Message[] {
    const message = this.writes.shift();
    if (message === undefined) return [];
    const { term, vote, commit } = message;
    const hardState = { term, vote, commit };
    if (!isEmptyHardState(hardState)) {
      this.disk.setHardState(hardState);
      this.#durableCommit = commit;
    }
    if (message.snapshot !== undefined) {
      this.disk.applySnapshot(message.snapshot);
      this.#restoreState(message.snapshot);
    }
    this.disk.append(message.entries);
    return message.responses;
  }

  finishApply(onApplied: (entry: Entry) => void): Message[] {
    const message = this.toApply.shift();
    if (message === undefined) return [];
    for (const entry of message.entries) {
      onApplied(entry);
      if (isConfChange(entry)) this.#confState = this.node.applyConfChange(decodeConfChange(entry));
      else if (entry.data !== undefined) this.state.push(entry.data.toString());
    }
    return message.responses;
  }

  /** Saves the state, and drops all but the last few entries that led to it. */
  compact(): void {
    const applied = this.node.applied;
    // A restart needs a commit index that is not below the snapshot's.
    if (applied > this.#durableCommit || this.toApply.length > 0) return;
    const data = Buffer.from(JSON.stringify(this.state));
    if (this.disk.createSnapshot(applied, this.#confState, data) === undefined) return;
    this.disk.compact(applied - Math.min(3, this.#randomInt(4)));
  }
}

/** Checks on all members at once what Raft promises (thesis, figure 3.2). */
export class SafetyChecks {
  readonly #leaders = new Map<number, bigint>();
  readonly #committed = new Map<number, string>();

  /** Election safety: at most one leader a term. */
  observe({ node }: Member): void {
    if (node.role !== Role.Leader) return;
    const known = this.#leaders.get(node.term) ?? node.id;
    assert(known === node.id, `term ${node.term} has one leader`);
    this.#leaders.set(node.term, node.id);
  }

  /** State machine safety: no two members apply different entries at one index. */
  applied(entry: Entry): void {
    const shown = `${entry.term} ${entry.type} ${entry.data?.toString('hex') ?? ''}`;
    const known = this.#committed.get(entry.index) ?? shown;
    assert(known === shown, `index ${entry.index} is applied alike everywhere`);
    this.#committed.set(entry.index, shown);
  }

  get commits(): number {
    return this.#committed.size;
  }

  get elections(): number {
    return this.#leaders.size;
  }
}

/** Makes any later change of a message, or of what it carries, an error: members must not share mutable state. */
export function deepFreeze(message: Message): Message {
  for (const entry of message.entries) Object.freeze(entry);
  Object.freeze(message.entries);
  return Object.freeze(message);
}
