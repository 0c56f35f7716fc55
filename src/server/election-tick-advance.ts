import type { Logger } from '../ports/logger.ts';
import type { Member } from './member.ts';

const POLL_MS = 50;
/** As in etcd: a member that has not heard of two others by then waits as long as any. */
const WAIT_MS = 5_000;
/** Ticks that are left, so that a leader that is there is heard of first. */
const TICKS_LEFT = 2;

/**
 * Shortens the wait for the first election after a start: once connections with two other members work and no leader
 * has been heard of, most of the first election timeout counts as passed.
 */
export class ElectionTickAdvance {
  readonly #stop: () => void;

  constructor(member: Member, activePeers: () => number, logger: Logger) {
    const { config, clock, scheduler } = member;
    const { electionTicks } = config;
    if (!config.initialElectionTickAdvance) {
      logger.info('skipping initial election tick advance', { 'election-ticks': electionTicks });
      this.#stop = () => undefined;
      return;
    }
    const deadline = clock.now() + WAIT_MS;
    const cancel = scheduler.every(POLL_MS, () => {
      if (member.hasLeader || clock.now() > deadline) {
        cancel();
        return;
      }
      const active = activePeers();
      if (active < 2) return;
      cancel();
      const ticks = electionTicks - TICKS_LEFT;
      logger.info('initialized peer connections; fast-forwarding election ticks', {
        'forward-ticks': ticks,
        'election-ticks': electionTicks,
        'active-remote-members': active,
      });
      for (let i = 0; i < ticks; i++) member.consensusInput.tick();
    });
    this.#stop = cancel;
  }

  stop(): void {
    this.#stop();
  }
}
