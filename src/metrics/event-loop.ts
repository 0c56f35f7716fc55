import { monitorEventLoopDelay, type IntervalHistogram } from 'node:perf_hooks';
import { labelled, gauge, type Family, type Sample } from './family.ts';

/** Milliseconds between samples: short enough for a p99 of some ms, long enough to cost nothing while idle. */
const RESOLUTION_MS = 10;

const quantiles = [0.5, 0.9, 0.99, 0.999];

/** Measures the delay of the event loop. Keystead does all its work on one event loop, so this shows its health. */
export class EventLoopDelay {
  readonly #histogram: IntervalHistogram;

  constructor() {
    this.#histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
    this.#histogram.enable();
  }

  /** The quantile of the delay, in seconds: the share `quantile` of all samples is below it. */
  quantileSeconds(quantile: number): number {
    return this.#seconds(this.#histogram.percentile(quantile * 100));
  }

  get maxSeconds(): number {
    return this.#seconds(this.#histogram.max);
  }

  /** Starts the measurement again, to measure a period. */
  reset(): void {
    this.#histogram.reset();
  }

  stop(): void {
    this.#histogram.disable();
  }

  families(): Family[] {
    const samples = (): Sample[] =>
      quantiles.map((quantile) => [[['quantile', String(quantile)]], this.quantileSeconds(quantile)]);
    return [
      labelled(
        'gauge',
        'keystead_event_loop_delay_seconds',
        'Delay of the event loop since the start, by quantile.',
        samples,
      ),
      gauge(
        'keystead_event_loop_delay_max_seconds',
        'Largest delay of the event loop since the start.',
        () => this.maxSeconds,
      ),
    ];
  }

  #seconds(nanoseconds: number): number {
    return Math.max(0, nanoseconds / 1e9 - RESOLUTION_MS / 1e3);
  }
}
