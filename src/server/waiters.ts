/** Whoever waits for a proposal: exactly one of the two is called, once. */
export interface Waiter<Result> {
  settled(result: Result): void;
  failed(error: Error): void;
}

interface Pending<Result> {
  readonly sequence: number;
  readonly deadlineMs: number;
  readonly waiter: Waiter<Result>;
}

/**
 * Local proposals that wait for their entry to be applied, by sequence number.
 *
 * All wait equally long, so that deadlines expire in the order of registration and one pass over the front of
 * a queue finds the expired ones: no timer per request.
 */
export class Waiters<Result> {
  readonly #pending = new Map<number, Pending<Result>>();

  get size(): number {
    return this.#pending.size;
  }

  has(sequence: number): boolean {
    return this.#pending.has(sequence);
  }

  register(sequence: number, deadlineMs: number, waiter: Waiter<Result>): void {
    this.#pending.set(sequence, { sequence, deadlineMs, waiter });
  }

  /** Takes the waiter of an applied entry; undefined where it gave up before or belongs to another member. */
  take(sequence: number): Waiter<Result> | undefined {
    const pending = this.#pending.get(sequence);
    if (pending === undefined) return undefined;
    this.#pending.delete(sequence);
    return pending.waiter;
  }

  /** Fails those whose time is up. Their entries may still be applied: the outcome is unknown, not negative. */
  expire(nowMs: number, error: () => Error): number {
    let expired = 0;
    for (const pending of this.#pending.values()) {
      if (pending.deadlineMs > nowMs) break;
      this.#pending.delete(pending.sequence);
      expired += 1;
      pending.waiter.failed(error());
    }
    return expired;
  }

  /** Fails those up to a sequence number, which are the oldest. */
  failUpTo(sequence: number, error: Error): number {
    let failed = 0;
    for (const pending of [...this.#pending.values()]) {
      if (pending.sequence > sequence) break;
      this.#pending.delete(pending.sequence);
      failed += 1;
      pending.waiter.failed(error);
    }
    return failed;
  }

  failAll(error: Error): void {
    const all = [...this.#pending.values()];
    this.#pending.clear();
    for (const pending of all) pending.waiter.failed(error);
  }
}
