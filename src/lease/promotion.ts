import { ExpirySpread } from './expiry-spread.ts';

/** What a promotion needs of the leases. */
export interface PromotedLeases<Item> {
  /** All that there are when the promotion begins. */
  readonly items: Iterator<Item>;
  /** Undefined for one that needs nothing any more: it is gone, or was granted or renewed since. */
  remainingSeconds(item: Item): number | undefined;
  /** @param delayMs how much longer it lives than its remaining seconds say */
  schedule(item: Item, remainingSeconds: number, delayMs: number): void;
}

/**
 * Schedules the expiries of all leases for a new primary, the earliest first, in steps: with a million leases it takes
 * a second, and a new leader that does nothing else meanwhile loses its term.
 *
 * Leases are grouped by their remaining seconds, which are whole numbers and few, so that no list of all of them
 * is sorted.
 */
export class Promotion<Item> {
  readonly #leases: PromotedLeases<Item>;
  readonly #spread: ExpirySpread;
  readonly #steps: Generator<void, void>;

  /** @param ratePerSecond expiries beyond which those of one second are spread */
  constructor(leases: PromotedLeases<Item>, ratePerSecond: number) {
    this.#leases = leases;
    this.#spread = new ExpirySpread(ratePerSecond);
    this.#steps = this.#run();
  }

  /** Goes on with up to `limit` leases. @returns whether everything is done */
  step(limit: number): boolean {
    for (let count = 0; count < limit; count += 1) if (this.#steps.next().done === true) return true;
    return false;
  }

  *#run(): Generator<void, void> {
    const leases = this.#leases;
    const groups = new Map<number, Item[]>();
    for (let next = leases.items.next(); next.done !== true; next = leases.items.next()) {
      const seconds = leases.remainingSeconds(next.value);
      if (seconds === undefined) continue;
      const group = groups.get(seconds);
      if (group === undefined) groups.set(seconds, [next.value]);
      else group.push(next.value);
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
