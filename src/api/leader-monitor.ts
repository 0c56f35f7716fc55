import type { Scheduler } from '../ports/scheduler.ts';

/** Election timeouts without a leader after which streams that asked for one are ended. */
const MAX_TIMEOUTS = 3;

/**
 * Tells streams that want a leader when there has been none for three election timeouts. Ending a stream costs its
 * client far more than a refused request, so a short election must not do it.
 */
export class LeaderMonitor {
  readonly #listeners = new Set<() => void>();
  readonly #hasLeader: () => boolean;
  readonly #stop: () => void;
  #without = 0;

  constructor(options: {
    readonly scheduler: Scheduler;
    readonly electionTimeoutMs: number;
    readonly hasLeader: () => boolean;
  }) {
    this.#hasLeader = options.hasLeader;
    this.#stop = options.scheduler.every(options.electionTimeoutMs, () => this.#check());
  }

  /** Calls back once when the leader is lost. The function returned takes that back. */
  onLost(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  stop(): void {
    this.#stop();
  }

  #check(): void {
    if (this.#hasLeader()) {
      this.#without = 0;
      return;
    }
    this.#without += 1;
    if (this.#without < MAX_TIMEOUTS) return;
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    for (const listener of listeners) listener();
  }
}
