import { keyText } from '../api/audit/request-fields.ts';
import type { SlowCall, SlowCalls } from '../grpc/slow-calls.ts';
import type { SlowRequest } from './report.ts';
import { requestKey } from './request-key.ts';

/** Quicker requests are never kept. */
const FLOOR_MS = 1;
/** Number of requests kept of each slice of the hour, and number of all that are shown. */
const MOST = 10;
const SLICES = 12;
export const SLICE_MS = 5 * 60_000;
const MAX_KEY_BYTES = 80;

/**
 * The slowest unary requests of the last hour. Each slice of five minutes has a list of its own, so that the list of the
 * hour is exact when old slices end. A slice with a full list takes only calls slower than its quickest one, so few calls
 * are looked at. No values are kept, and of keys only the beginning.
 */
export class SlowestRequests implements SlowCalls {
  thresholdMs: number;
  readonly #logged: SlowCalls;
  readonly #wallMs: () => number;
  /** The present slice first. The requests of each are sorted, the slowest first. */
  #slices: SlowRequest[][] = [[]];
  #keepsAboveMs = FLOOR_MS;

  /** @param logged gets the calls above its own threshold too */
  constructor(logged: SlowCalls, wallMs: () => number) {
    this.#logged = logged;
    this.#wallMs = wallMs;
    this.thresholdMs = Math.min(logged.thresholdMs, FLOOR_MS);
  }

  report(call: SlowCall): void {
    if (call.tookMs > this.#logged.thresholdMs) this.#logged.report(call);
    if (call.tookMs > this.#keepsAboveMs) this.#keep(call);
  }

  /** Begins a new slice. To be called every `SLICE_MS`. */
  nextSlice(): void {
    this.#slices = [[], ...this.#slices.slice(0, SLICES - 1)];
    this.#setThreshold(FLOOR_MS);
  }

  /** The slowest first. */
  list(): SlowRequest[] {
    return this.#slices
      .flat()
      .sort((a, b) => b.tookMs - a.tookMs)
      .slice(0, MOST);
  }

  #keep({ path, request, tookMs }: SlowCall): void {
    const slice = this.#slices[0];
    if (slice === undefined) return;
    const named = requestKey(path, request);
    slice.push({
      method: path.replace(/^\/(?:\w+\.)*/, ''),
      key: named === undefined ? null : shortened(named.key),
      isRange: named?.isRange === true,
      tookMs,
      atMs: this.#wallMs() - tookMs,
    });
    slice.sort((a, b) => b.tookMs - a.tookMs);
    if (slice.length > MOST) slice.length = MOST;
    if (slice.length === MOST) this.#setThreshold(slice[MOST - 1]?.tookMs ?? FLOOR_MS);
  }

  #setThreshold(keepsAboveMs: number): void {
    this.#keepsAboveMs = keepsAboveMs;
    this.thresholdMs = Math.min(this.#logged.thresholdMs, keepsAboveMs);
  }
}

function shortened(key: Buffer): string {
  return key.length <= MAX_KEY_BYTES ? keyText(key) : `${keyText(key.subarray(0, MAX_KEY_BYTES))}…`;
}
