import type { Config } from '../config/config.ts';
import type { Lessor } from '../lease/lessor.ts';
import type { Scheduler } from '../ports/scheduler.ts';

/** The part of a member that the promotion of leases uses. */
export interface LeasingMember {
  readonly config: Pick<Config, 'electionTimeoutMs'>;
  readonly scheduler: Pick<Scheduler, 'soon'>;
  readonly lessor: Pick<Lessor, 'promote' | 'promoteMore'>;
}

/**
 * Starts the expiry of leases on a new leader. Many leases need many turns of the event loop. Raft's ticks and messages
 * run in between, because a leader that sends no heartbeats loses its leadership.
 */
export function promoteLeases({ config, scheduler, lessor }: LeasingMember): void {
  const more = (): void => {
    if (!lessor.promoteMore()) scheduler.soon(more);
  };
  if (!lessor.promote(config.electionTimeoutMs)) scheduler.soon(more);
}
