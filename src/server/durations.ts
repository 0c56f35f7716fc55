import { type ApplyCounts, requestName } from '../apply/apply-counts.ts';
import type { Histogram } from '../metrics/histogram.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Config } from '../config/config.ts';
import type { Logger } from '../ports/logger.ts';
import { RaftRequestField } from './raft-request.ts';

const proposalNames: ReadonlyMap<RaftRequestField, string> = new Map(
  Object.entries(RaftRequestField).map(([kind, field]) => [field, requestName(kind)]),
);

/** Histograms by request and outcome, found without building label texts; each is made when first needed. */
class ByRequest {
  readonly #make: (name: string, isDone: boolean) => Histogram;
  readonly #done = new Map<string, Histogram>();
  readonly #failed = new Map<string, Histogram>();

  constructor(make: (name: string, isDone: boolean) => Histogram) {
    this.#make = make;
  }

  of(name: string, isDone: boolean): Histogram {
    const made = isDone ? this.#done : this.#failed;
    let histogram = made.get(name);
    if (histogram === undefined) made.set(name, (histogram = this.#make(name, isDone)));
    return histogram;
  }
}

/** How long requests take, from their arrival to their answer, and how long it takes to apply them; in seconds. */
export class Durations {
  readonly #metrics: Metrics;
  readonly #logger: Logger;
  readonly #warnAfterMs: number;
  readonly #requests: ByRequest;
  readonly #applies: ByRequest;
  readonly #ranges: ByRequest;
  /** Time taken so far by the requests that are being applied. */
  #tookMs = 0;

  constructor(metrics: Metrics, logger: Logger, limits: Pick<Config, 'warningApplyDurationMs'>) {
    const { server } = metrics;
    this.#metrics = metrics;
    this.#logger = logger;
    this.#warnAfterMs = limits.warningApplyDurationMs;
    this.#requests = new ByRequest((name, isDone) => server.requestDuration.with(name, String(isDone)));
    this.#ranges = new ByRequest((_name, isDone) => server.rangeDuration.with(String(isDone)));
    this.#applies = new ByRequest((name, isDone) => server.applyDuration.with('v3', name, String(isDone)));
  }

  /** A proposal was answered, which counts as done whatever the answer, or given up. */
  proposal(field: RaftRequestField, seconds: number, isDone: boolean): void {
    this.#requests.of(proposalNames.get(field) ?? '', isDone).observe(seconds);
  }

  /** A read was answered. */
  read(name: 'Range' | 'ReadonlyTxn', seconds: number, isDone: boolean): void {
    this.#requests.of(name, isDone).observe(seconds);
  }

  /** The store was read for an answer, or could not be. */
  range(seconds: number, isDone: boolean): void {
    this.#ranges.of('', isDone).observe(seconds);
  }

  /**
   * A batch was applied. Its requests go into the store together: each took the same part of the time.
   *
   * @param count of requests; 0 where the time went into a part of one
   */
  applied(count: number, firstIndex: number | undefined, counts: ApplyCounts, partMs: number): void {
    const { server } = this.#metrics;
    this.#tookMs += partMs;
    if (count === 0) return;
    const tookMs = this.#tookMs;
    this.#tookMs = 0;
    const share = tookMs / 1000 / count;
    counts.drain((name, isRefused, times) => this.#applies.of(name, !isRefused).observe(share, times));
    if (tookMs <= this.#warnAfterMs) return;
    server.slowApplies++;
    this.#logger.warn('apply request took too long', {
      took: `${tookMs.toFixed(3)}ms`,
      'expected-duration': `${this.#warnAfterMs}ms`,
      entries: count,
      'first-index': firstIndex,
    });
  }
}
