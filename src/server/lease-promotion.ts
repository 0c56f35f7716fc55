import type { Config } from '../config/config.ts';
import type { Lessor } from '../lease/lessor.ts';
import type { Scheduler } from '../ports/scheduler.ts';

/** What it needs of a member. */
export interface LeasingMember {
  readonly config: Pick<Config, 'electionTimeoutMs'>;
  readonly scheduler: Pick<Scheduler, 'soon'>;
  readonly lessor: Pick<Lessor, 'promote' | 'promoteMore'>;
}

/**
 * Has a new leader's leases expire again. With many of them that takes many turns of the event loop, between which
 * raft's ticks and messages go on: a leader that sent no heartbeats meanwhile would lose its term.
 */
export function promoteLeases({ config, scheduler, lessor }: LeasingMember): void {
  const more = (): void => {
    if (!lessor.promoteMore()) scheduler.soon(more);
  };
  if (!lessor.promote(config.electionTimeoutMs)) scheduler.soon(more);
}
