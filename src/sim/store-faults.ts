import { EngineFailedError, EngineFullError } from '../ports/engine.ts';
import { FaultCountdown } from './fault-countdown.ts';
import type { SimTime } from './time.ts';

/** What is wrong with the disk that holds the store of a machine, apart from its log. It outlives the processes. */
export class StoreFaults {
  readonly #time: SimTime;
  isFull = false;
  /** The disk says that it has room although writes find none, as with a quota. */
  isQuota = false;
  /** The call that fails with EIO. */
  readonly eio = new FaultCountdown();
  #fills: { afterWrites: number; readonly forMs: number } | undefined;
  /** Calls that failed with EIO. */
  failures = 0;
  /** Writes that found no room. */
  refusals = 0;

  constructor(time: SimTime) {
    this.#time = time;
  }

  /** What the members can see of a full disk before they write. */
  get hasRoom(): boolean {
    return !this.isFull || this.isQuota;
  }

  /** The disk is full for a time, from the write on that follows so many others. */
  fillAfter(afterWrites: number, forMs: number): void {
    this.#fills = { afterWrites, forMs };
  }

  /** All is well again. */
  end(): void {
    this.isFull = false;
    this.eio.callsLeft = undefined;
    this.#fills = undefined;
  }

  /** A batch is written. @throws EngineFullError, EngineFailedError */
  write(isRefused: boolean): void {
    if (this.eio.isDue()) throw this.#failure('a write');
    const fills = this.#fills;
    if (fills !== undefined && --fills.afterWrites < 0) {
      this.#fills = undefined;
      this.isFull = true;
      this.#time.after(fills.forMs, () => {
        this.isFull = false;
      });
    }
    if (!this.isFull && !isRefused) return;
    this.refusals += 1;
    throw new EngineFullError('No space left on device');
  }

  /** Batches are synced. @returns why they could not be */
  sync(): EngineFailedError | undefined {
    return this.eio.isDue() ? this.#failure('a sync') : undefined;
  }

  /** The store is opened again. @throws EngineFullError */
  open(): void {
    if (this.isFull) throw new EngineFullError('No space left on device');
  }

  #failure(what: string): EngineFailedError {
    this.failures += 1;
    return new EngineFailedError(`IO error: ${what} of the store failed with EIO`);
  }
}
