import { hex, reasonOf } from '../lib/text.ts';
import type { PeerContext } from './context.ts';
import type { PeerStatus } from './peer-status.ts';
import { openRequest, readBody } from './request.ts';
import { RequestAgents } from './request-agents.ts';
import { requestPlace } from './request-place.ts';
import type { UrlPicker } from './url-picker.ts';

/** Shorter than servers keep idle connections, so that all probes use one connection. */
const PROBE_INTERVAL_MS = 4_000;

const TIMEOUT_MS = 4_000;

/** Weight of the newest round-trip time in the smoothed one. */
const SMOOTHING = 0.125;

const MAX_CLOCK_DRIFT_MS = 1_000;

const MAX_ANSWER_BYTES = 4096;

export interface ProberOptions {
  readonly context: PeerContext;
  readonly status: PeerStatus;
  readonly picker: UrlPicker;
}

/** Measures the round-trip time to a member, and the difference of its wall clock. */
export class Prober {
  readonly #options: ProberOptions;
  readonly #agents = new RequestAgents({ maxSockets: 1 });
  readonly #timer: NodeJS.Timeout;
  #smoothedMs: number | undefined;
  #isHealthy = true;
  #isDrifting = false;

  constructor(options: ProberOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#probe(), PROBE_INTERVAL_MS);
  }

  /** Smoothed milliseconds; undefined before the first one was measured. */
  get roundTripMs(): number | undefined {
    return this.#smoothedMs;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#agents.destroy();
  }

  #probe(): void {
    const { context, status, picker } = this.#options;
    const startedAt = context.clock.now();
    this.#ask(picker.pick()).then(
      (wallThere) => {
        const tripMs = context.clock.now() - startedAt;
        const before = this.#smoothedMs ?? tripMs;
        this.#smoothedMs = before + SMOOTHING * (tripMs - before);
        context.observer?.roundTrip(status.id, this.#smoothedMs / 1000);
        this.#isHealthy = true;
        this.#noteDrift(context.clock.wall() - wallThere - tripMs / 2);
      },
      (error: unknown) => {
        if (this.#isHealthy)
          context.logger.warn('peer does not respond to probes', {
            'remote-peer-id': hex(status.id),
            error: reasonOf(error),
          });
        this.#isHealthy = false;
      },
    );
  }

  #noteDrift(driftMs: number): void {
    const { context, status } = this.#options;
    const isDrifting = Math.abs(driftMs) > MAX_CLOCK_DRIFT_MS;
    if (isDrifting && !this.#isDrifting)
      context.logger.warn('clocks of members differ', {
        'remote-peer-id': hex(status.id),
        'clock-drift-ms': Math.round(driftMs),
      });
    this.#isDrifting = isDrifting;
  }

  /** Resolves to the wall time of the other member. */
  #ask(url: string): Promise<number> {
    const { context } = this.#options;
    return new Promise((resolve, reject) => {
      const request = openRequest(requestPlace(url, '/raft/probing'), {
        method: 'GET',
        headers: {},
        tls: context.tls,
        agents: this.#agents,
        dialTimeoutMs: context.dialTimeoutMs,
        localAddress: context.localAddress,
        idleTimeoutMs: TIMEOUT_MS,
      });
      request.on('error', reject);
      request.on('response', (response) => {
        readBody(response, MAX_ANSWER_BYTES)
          .then((body) => {
            if (response.statusCode !== 200) throw new Error(`status ${response.statusCode ?? 0}`);
            resolve(wallOf(body.toString()));
          })
          .catch(reject);
      });
      request.end();
    });
  }
}

function wallOf(text: string): number {
  const answer: unknown = JSON.parse(text);
  if (typeof answer !== 'object' || answer === null || !('OK' in answer) || answer.OK !== true)
    throw new Error('the peer is not healthy');
  const wall = 'Now' in answer && typeof answer.Now === 'string' ? Date.parse(answer.Now) : NaN;
  if (Number.isNaN(wall)) throw new Error('the peer sent no time');
  return wall;
}
