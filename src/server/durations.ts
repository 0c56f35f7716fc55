import { type ApplyCounts, requestName } from '../apply/apply-counts.ts';
import type { Histogram } from '../metrics/histogram.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Config } from '../config/config.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { MemberOptions } from './member-options.ts';
import { RaftRequestField } from './raft-request.ts';
import { SlowRequests } from './slow-requests.ts';

const proposalNames: ReadonlyMap<RaftRequestField, string> = new Map(
  Object.entries(RaftRequestField).map(([kind, field]) => [field, requestName(kind)]),
);

/** Histograms by request and outcome. They are created on first use and found without building label texts. */
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

export type DurationsOptions = Pick<MemberOptions, 'logger' | 'clock' | 'randomInt'> & {
  readonly config: Pick<Config, 'warningApplyDurationMs'>;
};

/** Records the duration of requests, from arrival to response, and the duration of their apply, in seconds. */
export class Durations {
  readonly #metrics: Metrics;
  readonly #logger: Logger;
  readonly #warnAfterMs: number;
  readonly #requests: ByRequest;
  readonly #applies: ByRequest;
  readonly #ranges: ByRequest;
  readonly #clock: Clock;
  readonly slowRequests: SlowRequests;
  /** Time of the last answered proposal, from its arrival, in milliseconds. */
  proposalMs = 0;
  /** When the apply of the requests that are answered now has begun, in milliseconds on the monotonic clock. */
  applyBeganMs = 0;
  /** Time spent so far on the requests that are being applied. */
  #tookMs = 0;
  #partBeganMs = 0;

  constructor(metrics: Metrics, { config, logger, clock, randomInt }: DurationsOptions) {
    const { server } = metrics;
    this.#metrics = metrics;
    this.#clock = clock;
    this.#logger = logger('server/durations.ts');
    this.slowRequests = new SlowRequests(logger('server/slow-requests.ts'), { clock, randomInt });
    this.#warnAfterMs = config.warningApplyDurationMs;
    this.#requests = new ByRequest((name, isDone) => server.requestDuration.with(name, String(isDone)));
    this.#ranges = new ByRequest((_name, isDone) => server.rangeDuration.with(String(isDone)));
    this.#applies = new ByRequest((name, isDone) => server.applyDuration.with('v3', name, String(isDone)));
  }

  /** Records a proposal. Any response counts as done; a timeout does not. */
  proposal(field: RaftRequestField, seconds: number, isDone: boolean): void {
    this.proposalMs = seconds * 1000;
    this.#requests.of(proposalNames.get(field) ?? '', isDone).observe(seconds);
  }

  /** Records a read. */
  read(name: 'Range' | 'ReadonlyTxn', seconds: number, isDone: boolean): void {
    this.#requests.of(name, isDone).observe(seconds);
  }

  /** Records a range in the store. */
  range(seconds: number, isDone: boolean): void {
    this.#ranges.of('', isDone).observe(seconds);
  }

  /** Called before entries, or a part of one, are applied. */
  applyBegan(): void {
    this.#partBeganMs = this.#clock.now();
    if (this.#tookMs === 0) this.applyBeganMs = this.#partBeganMs;
  }

  /**
   * Records an applied batch. Its requests are written to the store together, so each gets the same share of the time.
   *
   * @param count number of requests; 0 when only a part of one request was applied
   */
  applied(count: number, firstIndex: number | undefined, counts: ApplyCounts): void {
    const { server } = this.#metrics;
    this.#tookMs += this.#clock.now() - this.#partBeganMs;
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
