/** An object with a deadline. Only the wheel changes the fields. */
export interface WheelEntry {
  wheelNext: WheelEntry | undefined;
  wheelPrevious: WheelEntry | undefined;
  /** Its slot; -1 if none. */
  wheelSlot: number;
  /** On the wheel's clock, in milliseconds. */
  deadlineAt: number;
  onDeadline(): void;
}

const SLOTS = 1024;
const SLOT_MS = 4;

/**
 * The deadlines of calls: a hashed timing wheel with intrusive lists. The deadline of a call that ends in time costs
 * two pointer changes. One timer runs while there are entries, and only for slots that have some.
 */
export class DeadlineWheel {
  readonly #now: () => number;
  readonly #slots: (WheelEntry | undefined)[] = new Array<WheelEntry | undefined>(SLOTS).fill(undefined);
  #count = 0;
  /** The last tick whose slot has been swept. */
  #swept = 0;
  #timer: NodeJS.Timeout | undefined;
  /** The tick for which the timer is set. */
  #timerTick = 0;

  /** `now`: monotonic milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  add(entry: WheelEntry, deadlineAt: number): void {
    const now = this.#now();
    if (this.#count === 0) this.#swept = Math.floor(now / SLOT_MS);
    // Rounded up, so that no deadline fires early, and never into a slot that was swept already.
    const tick = Math.max(Math.ceil(deadlineAt / SLOT_MS), this.#swept + 1);
    const slot = tick % SLOTS;
    const head = this.#slots[slot];
    entry.deadlineAt = deadlineAt;
    entry.wheelSlot = slot;
    entry.wheelPrevious = undefined;
    entry.wheelNext = head;
    if (head !== undefined) head.wheelPrevious = entry;
    this.#slots[slot] = entry;
    this.#count++;
    const wake = Math.min(tick, this.#swept + SLOTS);
    if (this.#timer === undefined || wake < this.#timerTick) this.#arm(wake, now);
  }

  remove(entry: WheelEntry): void {
    if (entry.wheelSlot < 0) return;
    if (entry.wheelPrevious === undefined) this.#slots[entry.wheelSlot] = entry.wheelNext;
    else entry.wheelPrevious.wheelNext = entry.wheelNext;
    if (entry.wheelNext !== undefined) entry.wheelNext.wheelPrevious = entry.wheelPrevious;
    entry.wheelNext = undefined;
    entry.wheelPrevious = undefined;
    entry.wheelSlot = -1;
    this.#count--;
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #arm(tick: number, now: number): void {
    clearTimeout(this.#timer);
    this.#timerTick = tick;
    this.#timer = setTimeout(() => this.#sweep(), Math.max(1, Math.ceil(tick * SLOT_MS - now))).unref();
  }

  #sweep(): void {
    this.#timer = undefined;
    const now = this.#now();
    const current = Math.floor(now / SLOT_MS);
    const due: WheelEntry[] = [];
    const from = Math.max(this.#swept + 1, current - SLOTS + 1);
    for (let tick = from; tick <= current; tick++) {
      for (let entry = this.#slots[tick % SLOTS]; entry !== undefined; entry = entry.wheelNext) {
        if (entry.deadlineAt <= now) due.push(entry);
      }
    }
    this.#swept = current;
    for (const entry of due) this.remove(entry);
    if (this.#count > 0) this.#arm(this.#nextTick(), now);
    for (const entry of due) entry.onDeadline();
  }

  /** The next tick whose slot holds an entry, perhaps one of a later round. */
  #nextTick(): number {
    let tick = this.#swept + 1;
    const last = this.#swept + SLOTS;
    while (tick < last && this.#slots[tick % SLOTS] === undefined) tick++;
    return tick;
  }
}
