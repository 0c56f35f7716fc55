import type { Logger } from '../ports/logger.ts';
import type { ExportSnapshot } from '../ports/snapshot.ts';
import type { Downgrades } from '../server/downgrades.ts';
import type { Memberships } from '../server/memberships.ts';
import { LoginLimiter } from './auth/login-limiter.ts';
import type { Logins } from './auth/logins.ts';
import { registerAuth } from './auth.ts';
import { registerCluster } from './cluster.ts';
import { registerElection } from './election.ts';
import { registerHealth } from './health.ts';
import { registerKv } from './kv.ts';
import { LeaderMonitor } from './leader-monitor.ts';
import { registerLease } from './lease.ts';
import type { Leases } from '../server/leases.ts';
import { registerLock } from './lock.ts';
import { registerMaintenance } from './maintenance.ts';
import type { ServiceContext } from './service-context.ts';
import { registerWatch } from './watch.ts';

export interface ServicesDeps {
  readonly leases: Leases;
  readonly memberships: Memberships;
  readonly downgrades: Downgrades;
  readonly logins: Logins;
  readonly exportSnapshot: ExportSnapshot;
  readonly logger: (caller: string) => Logger;
  readonly serverVersion: string;
  /** A uniform random integer in [0, bound). */
  readonly randomInt: (bound: number) => number;
}

/** Registers every service of the client port. Returns a function that stops their background work. */
export function registerServices(context: ServiceContext, deps: ServicesDeps): () => void {
  const { member } = context;
  const { config, scheduler } = member;
  const leaders = new LeaderMonitor({
    scheduler,
    electionTimeoutMs: config.electionTimeoutMs,
    hasLeader: () => member.hasLeader,
  });
  registerKv(context);
  registerLease(context, deps.leases, leaders);
  registerCluster(context, deps.memberships);
  registerLock(context);
  registerElection(context, leaders);
  registerMaintenance(context, {
    health: registerHealth(context),
    exportSnapshot: deps.exportSnapshot,
    downgrades: deps.downgrades,
    logger: deps.logger('api/maintenance.ts'),
    serverVersion: deps.serverVersion,
  });
  registerAuth(context, {
    passwords: deps.logins.passwords,
    limiter: new LoginLimiter({
      perSecond: config.maxLoginsPerSecond,
      scheduler,
      now: () => performance.now(),
    }),
    tokens: deps.logins.tokens.provider,
    logger: deps.logger('api/auth.ts'),
  });
  registerWatch(context, { leaders, randomInt: deps.randomInt });
  return () => leaders.stop();
}
