/** A read that waits until it may see everything acknowledged before it began. */
export interface ReadWaiter {
  readable(): void;
  failed(error: Error): void;
}

interface ReadBatch {
  readonly waiters: ReadWaiter[];
  readonly deadlineMs: number;
  /** The commit index the batch must see; undefined until ReadIndex answered. */
  index: number | undefined;
}

/**
 * Linearizable reads by ReadIndex (Raft dissertation, section 6.4), batched: all reads that arrive within one
 * turn of the raft loop share one ReadIndex, and wait until its index is applied.
 */
export class ReadQueue {
  #arriving: ReadWaiter[] = [];
  readonly #asked = new Map<number, ReadBatch>();
  #nextContext = 1;

  get hasArrivals(): boolean {
    return this.#arriving.length > 0;
  }

  add(waiter: ReadWaiter): void {
    this.#arriving.push(waiter);
  }

  /** Closes the current batch; returns the context to hand to ReadIndex. */
  ask(deadlineMs: number): number {
    const context = this.#nextContext++;
    this.#asked.set(context, { waiters: this.#arriving, deadlineMs, index: undefined });
    this.#arriving = [];
    return context;
  }

  /** ReadIndex answered for `context` (and thereby for every batch asked before it). */
  confirmed(context: number, index: number): void {
    for (const [asked, batch] of this.#asked) {
      if (asked > context) break;
      batch.index ??= index;
    }
  }

  /** Lets the confirmed batches read whose index is applied. */
  release(appliedIndex: number): void {
    for (const [context, batch] of this.#asked) {
      if (batch.index === undefined || batch.index > appliedIndex) break;
      this.#asked.delete(context);
      for (const waiter of batch.waiters) waiter.readable();
    }
  }

  /** Contexts still without an answer, for asking again after a lost message or a new leader. */
  unconfirmed(): number | undefined {
    let last: number | undefined;
    for (const [context, batch] of this.#asked) if (batch.index === undefined) last = context;
    return last;
  }

  expire(nowMs: number, error: () => Error): number {
    let expired = 0;
    for (const [context, batch] of this.#asked) {
      if (batch.deadlineMs > nowMs) break;
      this.#asked.delete(context);
      expired += 1;
      for (const waiter of batch.waiters) waiter.failed(error());
    }
    return expired;
  }

  failAll(error: Error): void {
    const batches = [...this.#asked.values()];
    const arriving = this.#arriving;
    this.#asked.clear();
    this.#arriving = [];
    for (const batch of batches) for (const waiter of batch.waiters) waiter.failed(error);
    for (const waiter of arriving) waiter.failed(error);
  }
}
