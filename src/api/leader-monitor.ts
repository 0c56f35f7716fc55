import type { Scheduler } from '../ports/scheduler.ts';

/** After this many election timeouts without a leader, streams that require a leader are ended. */
const MAX_TIMEOUTS = 3;

export interface LeaderMonitorOptions {
  readonly scheduler: Scheduler;
  readonly electionTimeoutMs: number;
  readonly hasLeader: () => boolean;
}

/**
 * Tells streams that require a leader when there has been none for three election timeouts. To open a stream again
 * costs a client far more than to repeat a request, so a short election must not end streams. The check runs only
 * while there are such streams.
 */
export class LeaderMonitor {
  readonly #options: LeaderMonitorOptions;
  readonly #listeners = new Set<() => void>();
  #stop: (() => void) | undefined;
  #without = 0;

  constructor(options: LeaderMonitorOptions) {
    this.#options = options;
  }

  /** Calls back once when the leader is lost. Returns a function that cancels this. */
  onLost(listener: () => void): () => void {
    this.#listeners.add(listener);
    const { scheduler, electionTimeoutMs } = this.#options;
    this.#stop ??= scheduler.every(electionTimeoutMs, () => this.#check());
    return () => {
      this.#listeners.delete(listener);
      this.#stopIfIdle();
    };
  }

  stop(): void {
    this.#listeners.clear();
    this.#stopIfIdle();
  }

  #check(): void {
    if (this.#options.hasLeader()) {
      this.#without = 0;
      return;
    }
    this.#without += 1;
    if (this.#without < MAX_TIMEOUTS) return;
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    for (const listener of listeners) listener();
    this.#stopIfIdle();
  }

  #stopIfIdle(): void {
    if (this.#listeners.size > 0) return;
    this.#stop?.();
    this.#stop = undefined;
    this.#without = 0;
  }
}
