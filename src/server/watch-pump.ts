import type { WatchHub } from '../mvcc/watch-hub.ts';
import type { Scheduler } from '../ports/scheduler.ts';

/** Drives a watch hub: runs one step per turn of the event loop while watchers are behind, and ends delivery pauses. */
export class WatchPump {
  readonly #hub: WatchHub;
  readonly #scheduler: Pick<Scheduler, 'soon' | 'after'>;
  #isScheduled = false;
  #stopped = false;

  constructor(hub: WatchHub, scheduler: Pick<Scheduler, 'soon' | 'after'>) {
    this.#hub = hub;
    this.#scheduler = scheduler;
    hub.onBacklog = () => this.#schedule();
    hub.onPause = (pauseMs) => {
      scheduler.after(pauseMs, () => {
        if (!this.#stopped) hub.flush(true);
      });
    };
  }

  stop(): void {
    this.#stopped = true;
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#scheduler.soon(() => {
      this.#isScheduled = false;
      if (!this.#stopped && this.#hub.step()) this.#schedule();
    });
  }
}
