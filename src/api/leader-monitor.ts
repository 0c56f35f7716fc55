import type { Scheduler } from '../ports/scheduler.ts';

/** Election timeouts without a leader after which streams that asked for one are ended. */
const MAX_TIMEOUTS = 3;

export interface LeaderMonitorOptions {
  readonly scheduler: Scheduler;
  readonly electionTimeoutMs: number;
  readonly hasLeader: () => boolean;
}

/**
 * Tells streams that want a leader when there has been none for three election timeouts. Ending a stream costs its
 * client far more than a refused request, so a short election must not do it. It looks only while there are streams.
 */
export class LeaderMonitor {
  readonly #options: LeaderMonitorOptions;
  readonly #listeners = new Set<() => void>();
  #stop: (() => void) | undefined;
  #without = 0;

  constructor(options: LeaderMonitorOptions) {
    this.#options = options;
  }

  /** Calls back once when the leader is lost. The function returned takes that back. */
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
