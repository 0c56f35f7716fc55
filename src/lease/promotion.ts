import { ExpirySpread } from './expiry-spread.ts';

/** What a promotion needs from the leases. */
export interface PromotedLeases<Item> {
  /** All leases at the start of the promotion. */
  readonly items: Iterator<Item>;
  /** Undefined for a lease that needs no scheduling: it was removed, or was granted or renewed since. */
  remainingSeconds(item: Item): number | undefined;
  /** @param delayMs how much longer the lease lives than its remaining seconds */
  schedule(item: Item, remainingSeconds: number, delayMs: number): void;
}

/**
 * Schedules the expiries of all leases for a new primary, the earliest first, in steps. With a million leases this
 * takes a second, and a new leader that did it all at once would lose its leadership.
 *
 * Leases are grouped by their remaining seconds. These are whole numbers with few distinct values, so the list of all
 * leases need not be sorted.
 */
export class Promotion<Item> {
  readonly #leases: PromotedLeases<Item>;
  readonly #spread: ExpirySpread;
  readonly #steps: Generator<void, void>;

  /** @param ratePerSecond if more leases expire in one second, their expiries are spread */
  constructor(leases: PromotedLeases<Item>, ratePerSecond: number) {
    this.#leases = leases;
    this.#spread = new ExpirySpread(ratePerSecond);
    this.#steps = this.#run();
  }

  /** Continues with up to `limit` leases. @returns whether all are done */
  step(limit: number): boolean {
    for (let count = 0; count < limit; count += 1) if (this.#steps.next().done === true) return true;
    return false;
  }

  *#run(): Generator<void, void> {
    const leases = this.#leases;
    const groups = new Map<number, Item[]>();
    for (let next = leases.items.next(); next.done !== true; next = leases.items.next()) {
      const seconds = leases.remainingSeconds(next.value);
      const group = seconds === undefined ? undefined : groups.get(seconds);
      if (group !== undefined) group.push(next.value);
      else if (seconds !== undefined) groups.set(seconds, [next.value]);
      // Leases that need no scheduling count as well: all may have been renewed since.
      yield;
    }
    for (const seconds of Float64Array.from(groups.keys()).sort()) {
      for (const item of groups.get(seconds) ?? []) {
        if (leases.remainingSeconds(item) !== undefined)
          leases.schedule(item, seconds, this.#spread.delayOf(1000 * seconds));
        yield;
      }
      groups.delete(seconds);
    }
  }
}
