import { jointCommitted } from './quorum/joint.ts';
import type { JointConfig } from './quorum/joint.ts';
import type { AckedIndexer } from './quorum/majority.ts';
import type { Message } from './types.ts';

/** How a leader checks that it is still the leader before it serves a read (Raft thesis, 6.4). */
export const ReadOnlyOption = {
  /** By a round of heartbeats. */
  Safe: 'safe',
  /** By its lease from the last quorum check: no round trip, but only as good as the clocks of all nodes. */
  LeaseBased: 'lease-based',
} as const;
export type ReadOnlyOption = (typeof ReadOnlyOption)[keyof typeof ReadOnlyOption];

export interface PendingRead {
  readonly request: Message;
  /** Commit index when the request came: where the state machine must be for the read to be linearizable. */
  readonly index: number;
}

/**
 * Reads waiting for the leader to be confirmed. They are numbered in the order in which they come; a heartbeat
 * carries the number of the latest one, so that an answer confirms that read and all before it.
 */
export class ReadOnly implements AckedIndexer {
  readonly option: ReadOnlyOption;
  #acks = new Map<bigint, number>();
  #pending: PendingRead[] = [];
  /** How many reads were confirmed, and so the number just before the first of `pending`. */
  #confirmed = 0;

  constructor(option: ReadOnlyOption) {
    this.option = option;
  }

  add(index: number, request: Message): void {
    this.#pending.push({ request, index });
  }

  /** Notes that `from` answered a heartbeat that carried `context`. A context that is none of ours is ignored. */
  receiveAck(from: bigint, context: Buffer | undefined): void {
    if (context?.length !== CONTEXT_BYTES) return;
    const position = context.readUInt32LE(0) + context.readUInt32LE(4) * 2 ** 32;
    if (position > this.#confirmed + this.#pending.length) return;
    if (position > (this.#acks.get(from) ?? 0)) this.#acks.set(from, position);
  }

  ackedIndex(voter: bigint): number | undefined {
    return this.#acks.get(voter);
  }

  /** Takes out the reads that a quorum has confirmed by now, oldest first. */
  takeConfirmed(voters: JointConfig): PendingRead[] {
    const confirmed = Math.min(jointCommitted(voters, this), this.#confirmed + this.#pending.length);
    if (confirmed <= this.#confirmed) return [];
    const done = this.#pending.slice(0, confirmed - this.#confirmed);
    this.#pending = this.#pending.slice(done.length);
    this.#confirmed = confirmed;
    return done;
  }

  /** What a heartbeat has to carry to confirm all reads waiting; undefined when there are none. */
  heartbeatContext(): Buffer | undefined {
    if (this.#pending.length === 0) return undefined;
    const position = this.#confirmed + this.#pending.length;
    const context = Buffer.alloc(CONTEXT_BYTES);
    context.writeUInt32LE(position % 2 ** 32, 0);
    context.writeUInt32LE(Math.floor(position / 2 ** 32), 4);
    return context;
  }
}

/** A context is the read's number, an unsigned 64-bit little-endian integer. */
const CONTEXT_BYTES = 8;
