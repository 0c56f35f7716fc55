/** An object with bytes gathered for its socket. */
export interface Flushable {
  /** Set while the object is on the list of a scheduler. Only the scheduler changes it. */
  flushScheduled: boolean;
  flush(): void;
}

/**
 * Collects the connections that produced frames, so that each socket gets one write in a turn of the event loop. Code
 * that completes a batch of responses calls `flushAll`. Everything else is flushed after the current poll phase.
 */
export class FlushScheduler {
  #dirty: Flushable[] = [];
  #spare: Flushable[] = [];
  #immediate: NodeJS.Immediate | undefined;
  #flushing = false;
  readonly #onImmediate = (): void => {
    this.#immediate = undefined;
    this.flushAll();
  };

  schedule(item: Flushable): void {
    if (item.flushScheduled) return;
    item.flushScheduled = true;
    this.#dirty.push(item);
    this.#immediate ??= setImmediate(this.#onImmediate);
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
