import { hex } from '../lib/text.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { PeerCounts } from '../ports/peer-transport.ts';

/** Whether a member is reachable, and its traffic counters. */
export class PeerStatus implements PeerCounts {
  readonly id: bigint;
  disconnects = 0;
  sentBytes = 0;
  receivedBytes = 0;
  sentFailures = 0;
  receivedFailures = 0;
  snapshotsSent = 0;
  snapshotsSending = 0;
  snapshotSendFailures = 0;
  snapshotsReceived = 0;
  snapshotsReceiving = 0;
  snapshotReceiveFailures = 0;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #activeSince: number | undefined;

  constructor(id: bigint, clock: Clock, logger: Logger) {
    this.id = id;
    this.#clock = clock;
    this.#logger = logger;
  }

  get isActive(): boolean {
    return this.#activeSince !== undefined;
  }

  get activeSince(): number | undefined {
    return this.#activeSince;
  }

  activate(): void {
    if (this.#activeSince !== undefined) return;
    this.#activeSince = this.#clock.now();
    this.#logger.info('peer became active', { 'peer-id': hex(this.id) });
  }

  /** @param failure what failed, and why */
  deactivate(failure: string): void {
    if (this.#activeSince === undefined) return;
    this.#activeSince = undefined;
    this.disconnects += 1;
    this.#logger.warn('peer became inactive', { 'peer-id': hex(this.id), error: failure });
  }
}
