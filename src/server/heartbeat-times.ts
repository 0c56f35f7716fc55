import { hex } from '../lib/text.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import { type Message, MessageType } from '../raft/types.ts';

/** As etcd, counts heartbeats that the leader sends more than two intervals after the previous one. */
export class HeartbeatTimes {
  readonly #intervalMs: number;
  readonly #clock: Clock;
  readonly #metrics: Metrics;
  readonly #logger: Logger;
  /** Time of the last heartbeat, by receiver. */
  readonly #sentMs = new Map<bigint, number>();

  constructor(intervalMs: number, clock: Clock, metrics: Metrics, logger: Logger) {
    this.#intervalMs = intervalMs;
    this.#clock = clock;
    this.#metrics = metrics;
    this.#logger = logger;
  }

  /** Called when the leader changes: forgets the heartbeats of the previous term. */
  reset(): void {
    this.#sentMs.clear();
  }

  /** Records the heartbeats among the messages to other members. @returns the same messages */
  sent(messages: readonly Message[]): readonly Message[] {
    for (const { type, to } of messages) if (type === MessageType.MsgHeartbeat) this.#heartbeat(to);
    return messages;
  }

  #heartbeat(to: bigint): void {
    const intervalMs = this.#intervalMs;
    const nowMs = this.#clock.now();
    const exceededMs = nowMs - (this.#sentMs.get(to) ?? nowMs) - 2 * intervalMs;
    this.#sentMs.set(to, nowMs);
    if (exceededMs <= 0) return;
    this.#metrics.server.heartbeatSendFailures++;
    this.#logger.warn(
      'leader failed to send out heartbeat on time; took too long, leader is overloaded likely from slow disk',
      {
        to: hex(to),
        'heartbeat-interval': `${intervalMs}ms`,
        'expected-duration': `${2 * intervalMs}ms`,
        'exceeded-duration': `${exceededMs.toFixed(3)}ms`,
      },
    );
  }
}
