import { formatGoDuration } from '../config/go-syntax.ts';
import type { Clock } from '../ports/clock.ts';
import { type Logger, LogTime } from '../ports/logger.ts';

/** Requests that take longer, in milliseconds, are logged with their steps. It is a constant in etcd as well. */
export const SLOW_MS = 100;
/** The longest text of a key in a line; etcd shows all of it. */
const MAX_TEXT_CHARS = 4096;
const TRACE_IDS = 2 ** 31;

export type Detail = readonly (readonly [name: string, value: Buffer | string | number | boolean])[];

/** What was done until a time, in milliseconds on the monotonic clock. */
export type Step = readonly [name: string, endedMs: number];

export interface SlowRequest {
  readonly operation: string;
  readonly detail: Detail;
  /** Milliseconds on the monotonic clock. */
  readonly startedMs: number;
  readonly endedMs: number;
  /** In their order. Each begins when the one before it ends. */
  readonly steps: readonly Step[];
}

export interface SlowRequestsOptions {
  readonly clock: Clock;
  readonly randomInt: (bound: number) => number;
}

/** Writes etcd's `trace` line about a slow request: what it asked for, and which of its steps took long. */
export class SlowRequests {
  readonly #logger: Logger;
  readonly #options: SlowRequestsOptions;

  constructor(logger: Logger, options: SlowRequestsOptions) {
    this.#logger = logger;
    this.#options = options;
  }

  /** @returns milliseconds on the monotonic clock */
  now(): number {
    return this.#options.clock.now();
  }

  /** Logs the request with the steps that took more than their share of the limit. Quick requests are not logged. */
  report(request: SlowRequest): void {
    this.#report(request, SLOW_MS / (request.steps.length + 1));
  }

  /** As `report`, with all steps. */
  reportAllSteps(request: SlowRequest): void {
    this.#report(request, 0);
  }

  #report({ operation, detail, startedMs, endedMs, steps }: SlowRequest, leastMs: number): void {
    if (endedMs - startedMs <= SLOW_MS) return;
    const { clock, randomInt } = this.#options;
    const toWall = clock.wall() - clock.now();
    const long = longSteps(startedMs, steps, leastMs);
    this.#logger.info('trace', {
      trace_id: randomInt(TRACE_IDS),
      operation,
      detail: `{${detail.map(([name, value]) => `${name}:${shown(value)}; `).join('')}}`,
      duration: goDuration(endedMs - startedMs),
      start: new LogTime(toWall + startedMs),
      end: new LogTime(toWall + endedMs),
      steps: long,
      step_count: long.length,
    });
  }
}

function longSteps(startedMs: number, steps: readonly Step[], leastMs: number): string[] {
  let before = startedMs;
  return steps.flatMap(([name, endedMs]) => {
    const tookMs = endedMs - before;
    before = endedMs;
    return tookMs > leastMs ? [`'${name}'  (duration: ${goDuration(tookMs)})`] : [];
  });
}

function shown(value: Buffer | string | number | boolean): string {
  if (!Buffer.isBuffer(value)) return String(value);
  const text = value.toString('utf8', 0, MAX_TEXT_CHARS);
  return value.length <= MAX_TEXT_CHARS ? text : `${text}...`;
}

/** To the microsecond, because the clock is not more exact. */
function goDuration(ms: number): string {
  return formatGoDuration(Math.round(ms * 1_000) / 1_000);
}
