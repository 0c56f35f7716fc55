import { InvariantError } from '../../lib/assert.ts';
import { byId } from '../types.ts';
import { Inflights } from './inflights.ts';

export const ProgressState = {
  /** The end of the follower's log is unknown: one append is sent at a time to find it. */
  Probe: 'StateProbe',
  /** The logs match: appends are sent without waiting for acknowledgements. */
  Replicate: 'StateReplicate',
  /** It needs compacted entries: nothing is sent until it has the snapshot. */
  Snapshot: 'StateSnapshot',
} as const;
export type ProgressState = (typeof ProgressState)[keyof typeof ProgressState];

export interface ProgressStart {
  readonly match: number;
  readonly next: number;
  readonly inflights: Inflights;
  readonly isLearner: boolean;
  readonly recentActive: boolean;
}

/**
 * The leader's view of one node's log, and how it sends to it.
 *
 * Invariant: match < next.
 */
export class Progress {
  /** Up to here the node's log is known to equal the leader's. */
  match: number;
  /** The next entry to send; those in (match, next) are in flight. */
  next: number;
  /** Highest commit index sent, so that it is not repeated in empty appends. */
  #commitSent = 0;
  state: ProgressState = ProgressState.Probe;
  /** Index of the snapshot being sent; 0 for none. */
  pendingSnapshot = 0;
  /** Whether the node was active since the last quorum check. */
  recentActive: boolean;
  /** A probe is out or the window is full: nothing more is sent until a heartbeat response clears this. */
  flowPaused = false;
  inflights: Inflights;
  isLearner: boolean;

  constructor(start: ProgressStart) {
    this.match = start.match;
    this.next = start.next;
    this.inflights = start.inflights;
    this.isLearner = start.isLearner;
    this.recentActive = start.recentActive;
  }

  /** A copy to change the membership in; it shares the window with the original, which it is about to replace. */
  fork(): Progress {
    const copy = Object.assign(new Progress(this), this);
    copy.#commitSent = this.#commitSent;
    return copy;
  }

  /** A copy that shares nothing. */
  clone(): Progress {
    const copy = this.fork();
    copy.inflights = this.inflights.clone();
    return copy;
  }

  #enter(state: ProgressState): void {
    this.flowPaused = false;
    this.pendingSnapshot = 0;
    this.state = state;
    this.inflights.reset();
  }

  /** Starts over after what is known to match, or after the snapshot that was sent. */
  becomeProbe(): void {
    const after =
      this.state === ProgressState.Snapshot ? Math.max(this.match, this.pendingSnapshot) : this.match;
    this.#enter(ProgressState.Probe);
    this.next = after + 1;
    this.#commitSent = Math.min(this.#commitSent, after);
  }

  becomeReplicate(): void {
    this.#enter(ProgressState.Replicate);
    this.next = this.match + 1;
  }

  becomeSnapshot(index: number): void {
    this.#enter(ProgressState.Snapshot);
    this.pendingSnapshot = index;
    this.next = index + 1;
    this.#commitSent = index;
  }

  /** Accounts for an append message of `count` entries with `bytes` of payload. */
  sentEntries(count: number, bytes: number): void {
    if (this.state === ProgressState.Replicate) {
      if (count > 0) {
        this.next += count;
        this.inflights.add(this.next - 1, bytes);
      }
      this.flowPaused = this.inflights.full();
    } else if (this.state === ProgressState.Probe) {
      if (count > 0) this.flowPaused = true;
    } else {
      throw new InvariantError(`no append is sent in state ${this.state}`);
    }
  }

  sentCommit(commit: number): void {
    this.#commitSent = commit;
  }

  /** Whether telling the node of `commit` could move its own commit mark beyond what it was told before. */
  canBumpCommit(commit: number): boolean {
    return commit > this.#commitSent && this.#commitSent < this.next - 1;
  }

  /** @returns false for an acknowledgement that says nothing new */
  maybeUpdate(index: number): boolean {
    if (index <= this.match) return false;
    this.match = index;
    this.next = Math.max(this.next, index + 1);
    this.flowPaused = false;
    return true;
  }

  /**
   * Steps back after a rejection of the append that followed index `rejected`.
   *
   * @param hint where the logs may match, as far as the follower can tell
   * @returns false for a rejection that came late and no longer means anything
   */
  maybeDecrTo(rejected: number, hint: number): boolean {
    if (this.state === ProgressState.Replicate) {
      if (rejected <= this.match) return false;
      this.next = this.match + 1;
      this.#commitSent = Math.min(this.#commitSent, this.next - 1);
      return true;
    }
    // A probing leader has one append out, the one that followed next - 1.
    if (this.next - 1 !== rejected) return false;
    this.next = Math.max(Math.min(rejected, hint + 1), this.match + 1);
    this.#commitSent = Math.min(this.#commitSent, this.next - 1);
    this.flowPaused = false;
    return true;
  }

  isPaused(): boolean {
    return this.flowPaused || this.state === ProgressState.Snapshot;
  }

  describe(): string {
    let text = `${this.state} match=${this.match} next=${this.next}`;
    if (this.isLearner) text += ' learner';
    if (this.isPaused()) text += ' paused';
    if (this.pendingSnapshot > 0) text += ` pendingSnap=${this.pendingSnapshot}`;
    if (!this.recentActive) text += ' inactive';
    if (this.inflights.count > 0) {
      text += ` inflight=${this.inflights.count}`;
      if (this.inflights.full()) text += '[full]';
    }
    return text;
  }
}

/** Ordered by id wherever it is in force, so that messages go out in a stable order. */
export type ProgressMap = Map<bigint, Progress>;

export function sortedProgress(progress: ReadonlyMap<bigint, Progress>): ProgressMap {
  return new Map([...progress].sort(([a], [b]) => byId(a, b)));
}

export function describeProgress(progress: ReadonlyMap<bigint, Progress>): string {
  let text = '';
  for (const [id, each] of sortedProgress(progress)) text += `${id}: ${each.describe()}\n`;
  return text;
}
