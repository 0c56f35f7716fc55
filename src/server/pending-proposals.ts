import { RisingMap } from '../lib/rising-map.ts';

/** The caller that waits for a proposal. Exactly one of the two is called, once. */
export interface Waiter<Result> {
  settled(result: Result): void;
  failed(error: Error): void;
}

/** Called when a waiter is done, with the kind of its proposal, its deadline, and whether it was settled. */
export type EndObserver = (kind: number, deadlineMs: number, isSettled: boolean) => void;

interface Pending<Result> {
  readonly sequence: number;
  readonly kind: number;
  readonly deadlineMs: number;
  readonly waiter: Waiter<Result>;
}

/**
 * Local proposals that wait for their entry to be applied, by sequence number.
 *
 * All have the same timeout, so they expire in the order of registration. The expired ones are at the front, and no
 * timer per request is needed.
 */
export class PendingProposals<Result> {
  readonly #pending = new RisingMap<Pending<Result>>();
  readonly #ended: EndObserver;

  constructor(ended: EndObserver = () => undefined) {
    this.#ended = ended;
  }

  get size(): number {
    return this.#pending.size;
  }

  has(sequence: number): boolean {
    return this.#pending.get(sequence) !== undefined;
  }

  register(sequence: number, kind: number, deadlineMs: number, waiter: Waiter<Result>): void {
    this.#pending.add(sequence, { sequence, kind, deadlineMs, waiter });
  }

  /** Removes the waiter of an applied entry. Undefined if it has timed out or belongs to another member. */
  take(sequence: number): Waiter<Result> | undefined {
    const pending = this.#pending.get(sequence);
    if (pending === undefined) return undefined;
    this.#pending.delete(sequence);
    this.#ended(pending.kind, pending.deadlineMs, true);
    return pending.waiter;
  }

  /** Fails a proposal that will never have an entry. */
  fail(sequence: number, error: Error): void {
    const pending = this.#pending.get(sequence);
    if (pending === undefined) return;
    this.#pending.delete(sequence);
    this.#fail(pending, error);
  }

  #fail({ kind, deadlineMs, waiter }: Pending<Result>, error: Error): void {
    this.#ended(kind, deadlineMs, false);
    waiter.failed(error);
  }

  /** Fails proposals that have timed out. Their entries may still be applied, so the outcome is unknown. */
  expire(nowMs: number, error: () => Error): number {
    let expired = 0;
    for (let { first: pending } = this.#pending; pending !== undefined; pending = this.#pending.first) {
      if (pending.deadlineMs > nowMs) break;
      this.#pending.delete(pending.sequence);
      expired += 1;
      this.#fail(pending, error());
    }
    return expired;
  }

  /** Fails the proposals up to a sequence number for which `isIncluded` is true. */
  failUpTo(sequence: number, error: Error, isIncluded: (sequence: number) => boolean): number {
    let failed = 0;
    for (const pending of this.#pending.values()) {
      if (pending.sequence > sequence) break;
      if (!isIncluded(pending.sequence)) continue;
      this.#pending.delete(pending.sequence);
      failed += 1;
      this.#fail(pending, error);
    }
    return failed;
  }

  failAll(error: Error): void {
    const all = this.#pending.values();
    this.#pending.clear();
    for (const pending of all) this.#fail(pending, error);
  }
}
