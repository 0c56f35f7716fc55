import { None } from '../raft/types.ts';
import type { ReadQueue } from './read-queue.ts';

export interface ReadRequestsOptions {
  readonly reads: ReadQueue;
  readonly now: () => number;
  /** Milliseconds after which an unconfirmed ReadIndex is sent again. */
  readonly retryMs: number;
  readonly knowsLeader: () => boolean;
  readonly readIndex: (context: Buffer, isRetry: boolean) => void;
}

/** Decides when ReadIndex is sent: once for all reads of a turn, and again since messages may be lost. */
export class ReadRequests {
  readonly #options: ReadRequestsOptions;
  #lead = None;
  /** There is a new leader, and the pending ReadIndex requests have not been sent to it yet. */
  #isLeadNew = false;

  constructor(options: ReadRequestsOptions) {
    this.#options = options;
  }

  /** @returns whether there is a new leader, so that `take` is to be called */
  leadChanged(lead: bigint): boolean {
    const isNew = lead !== this.#lead && lead !== None;
    if (isNew) this.#isLeadNew = true;
    this.#lead = lead;
    return isNew;
  }

  /** Sends ReadIndex for the reads of this turn. Without a leader, they wait until there is one or they time out. */
  take(): void {
    const { reads, now, knowsLeader, readIndex } = this.#options;
    if (this.#isLeadNew) {
      this.#isLeadNew = false;
      this.#retry(Infinity);
    }
    if (reads.hasArrivals && knowsLeader()) readIndex(reads.ask(now()), false);
  }

  /** Called after each tick of raft. */
  ticked(): void {
    const { reads, now, retryMs } = this.#options;
    reads.ticked();
    this.#retry(now() - retryMs);
  }

  #retry(askedBeforeMs: number): void {
    const { reads, now, knowsLeader, readIndex } = this.#options;
    if (!knowsLeader()) return;
    const context = reads.askAgain(now(), askedBeforeMs);
    if (context !== undefined) readIndex(context, true);
  }
}
