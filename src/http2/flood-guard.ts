import { ConnectionError, ErrorCode } from './constants.ts';
import { type ConnectionLimits, RESET_WINDOW_MS } from './limits.ts';

const IDLE_WINDOW_MS = 1_000;
/** Streams updated within a second for window changes: some milliseconds of work. */
const MAX_VISITS = 500_000;

/**
 * Counts frames that cost the server work without use for the client: control frames without requests, and requests
 * that are opened only to be reset. The clock is read only when a count has reached its limit.
 *
 * @throws ConnectionError ENHANCE_YOUR_CALM from the counting methods once a limit is passed
 */
export class FloodGuard {
  readonly #limits: ConnectionLimits;
  readonly #now: () => number;
  #idleFrames = 0;
  #idleSince: number;
  #opened = 0;
  #resets = 0;
  #resetsSince: number;
  #visits = 0;
  #visitsSince: number;

  constructor(limits: ConnectionLimits, now: () => number) {
    this.#limits = limits;
    this.#now = now;
    this.#idleSince = now();
    this.#resetsSince = this.#idleSince;
    this.#visitsSince = this.#idleSince;
  }

  /** A response makes progress, so control frames are legitimate. */
  progress(): void {
    this.#idleFrames = 0;
  }

  idleFrame(): void {
    if (++this.#idleFrames <= this.#limits.maxIdleFrames) return;
    const now = this.#now();
    if (now - this.#idleSince < IDLE_WINDOW_MS) {
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, 'too many control frames');
    }
    this.#idleSince = now;
    this.#idleFrames = 0;
  }

  /** A few bytes of the client make the server update `count` streams. Responses in between do not reset this count. */
  streamsVisited(count: number): void {
    this.#visits += count;
    if (this.#visits <= MAX_VISITS) return;
    const now = this.#now();
    if (now - this.#visitsSince < IDLE_WINDOW_MS) {
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, 'too many changes of all windows');
    }
    this.#visitsSince = now;
    this.#visits = 0;
  }

  streamOpened(): void {
    this.#opened++;
  }

  streamReset(): void {
    this.#resets++;
    if (this.#resets <= this.#limits.maxResets) return;
    const now = this.#now();
    const flooding = now - this.#resetsSince < RESET_WINDOW_MS && this.#resets * 2 > this.#opened;
    if (flooding) throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, 'too many resets');
    this.#resetsSince = now;
    this.#resets = 0;
    this.#opened = 0;
  }
}
