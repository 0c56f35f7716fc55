/** An object with bytes gathered for its socket. */
export interface Flushable {
  /** Set while the object is on the list of a scheduler. Only the scheduler changes it. */
  flushScheduled: boolean;
  /** Set while the object waits for frames that are sent at once. Only the scheduler changes it. */
  flushPostponed: boolean;
  flush(): void;
}

/** A client waits at most this long for a frame that is postponed, if there is nothing to send with it. */
export const MAX_POSTPONED_MS = 10;

/**
 * Collects the connections that produced frames, so that each socket gets one write in a turn of the event loop. Code
 * that completes a batch of responses calls `flushAll`. Everything else is flushed after the current poll phase, or
 * postponed: such frames are sent with the next ones.
 */
export class FlushScheduler {
  #dirty: Flushable[] = [];
  #spare: Flushable[] = [];
  #immediate: NodeJS.Immediate | undefined;
  #flushing = false;
  #postponed: Flushable[] = [];
  readonly #onImmediate = (): void => {
    this.#immediate = undefined;
    this.flushAll();
  };
  readonly #onPostponed = (): void => {
    const items = this.#postponed;
    this.#postponed = [];
    for (const item of items) {
      item.flushPostponed = false;
      item.flush();
    }
  };

  schedule(item: Flushable): void {
    if (item.flushScheduled) return;
    item.flushScheduled = true;
    this.#dirty.push(item);
    this.#immediate ??= setImmediate(this.#onImmediate);
  }

  /** The frames wait for others to be sent with, but not for long. */
  postpone(item: Flushable): void {
    if (item.flushScheduled || item.flushPostponed) return;
    item.flushPostponed = true;
    if (this.#postponed.length === 0) setTimeout(this.#onPostponed, MAX_POSTPONED_MS);
    this.#postponed.push(item);
  }

  flushAll(): void {
    if (this.#dirty.length === 0 || this.#flushing) return;
    this.#flushing = true;
    // Flushing may schedule again, as more of a long response fits now. That goes to the other list, for later.
    const batch = this.#dirty;
    this.#dirty = this.#spare;
    this.#spare = batch;
    for (const item of batch) {
      item.flushScheduled = false;
      item.flush();
    }
    batch.length = 0;
    this.#flushing = false;
    if (this.#dirty.length > 0) this.#immediate ??= setImmediate(this.#onImmediate);
  }
}
