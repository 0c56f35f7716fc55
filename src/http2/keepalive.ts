import { IDLE_PING_MIN_MS, type KeepalivePolicy, MAX_PING_STRIKES } from './limits.ts';

/** Keepalive of one connection: limits the pings of the client, and detects when it no longer responds. */
export class KeepaliveGuard {
  static readonly PING = Buffer.from('keepaliv', 'latin1');

  readonly #policy: KeepalivePolicy;
  readonly #now: () => number;
  #strikes = 0;
  #lastPing = -Infinity;
  #strikesReset = true;
  #heard = true;
  #lastHeard: number;
  #pingSent = -Infinity;

  constructor(policy: KeepalivePolicy, now: () => number) {
    this.#policy = policy;
    this.#now = now;
    this.#lastHeard = now();
  }

  /** Bytes arrived. The time is taken at the next sweep, so that reading needs no clock call. */
  heard(): void {
    this.#heard = true;
  }

  /** Headers or data were sent: the next ping of the client is not a strike, at any time. */
  sentResponse(): void {
    this.#strikesReset = true;
  }

  /** Counts a ping of the client; true if it breaks the policy once too often. */
  tooManyPings(activeStreams: number): boolean {
    const now = this.#now();
    const since = now - this.#lastPing;
    this.#lastPing = now;
    if (this.#strikesReset) {
      this.#strikesReset = false;
      this.#strikes = 0;
      return false;
    }
    if (since < (activeStreams === 0 ? IDLE_PING_MIN_MS : this.#policy.minTimeMs)) this.#strikes++;
    return this.#strikes > MAX_PING_STRIKES;
  }

  /** The action that is due: a ping to a silent client, or closing one that did not answer the ping. */
  sweep(now: number): 'ping' | 'dead' | undefined {
    if (this.#heard) {
      this.#heard = false;
      this.#lastHeard = now;
      return undefined;
    }
    if (this.#pingSent > this.#lastHeard) {
      return now - this.#pingSent >= this.#policy.timeoutMs ? 'dead' : undefined;
    }
    if (now - this.#lastHeard < this.#policy.intervalMs) return undefined;
    this.#pingSent = now;
    return 'ping';
  }
}
