import { monitorEventLoopDelay, type IntervalHistogram } from 'node:perf_hooks';
import { labelled, gauge, type Family, type Sample } from './family.ts';

/** Milliseconds between samples: fine enough for a p99 of some ms, coarse enough to cost nothing while idle. */
const resolutionMs = 10;

const quantiles = [0.5, 0.9, 0.99, 0.999];

/** How late the event loop runs what is due: Keystead does all its work on one, so this is its health in a number. */
export class EventLoopDelay {
  readonly #histogram: IntervalHistogram;

  constructor() {
    this.#histogram = monitorEventLoopDelay({ resolution: resolutionMs });
    this.#histogram.enable();
  }

  /** Seconds beyond the sampling interval below which the share `quantile` of all samples lies. */
  quantileSeconds(quantile: number): number {
    return this.#seconds(this.#histogram.percentile(quantile * 100));
  }

  /** Forgets what was measured, so that a test can look at a period alone. */
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
        'Lateness of the event loop since the start, by quantile.',
        samples,
      ),
      gauge(
        'keystead_event_loop_delay_max_seconds',
        'Largest lateness of the event loop since the start.',
        () => this.#seconds(this.#histogram.max),
      ),
    ];
  }

  #seconds(nanoseconds: number): number {
    return Math.max(0, nanoseconds / 1e9 - resolutionMs / 1e3);
  }
}
