import type { WatchHub } from '../mvcc/watch-hub.ts';
import type { Scheduler } from '../ports/scheduler.ts';

/** Steps a watch hub while watchers are behind, once a turn of the event loop, and ends the pauses of its deliveries. */
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
