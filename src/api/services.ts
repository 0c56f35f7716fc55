import { NOBODY } from '../auth/auth-store.ts';
import type { AuthInfo } from '../auth/auth-store.ts';
import { EtcdError } from '../wire/errors.ts';
import { registerKv } from './kv.ts';
import { LeaderMonitor } from './leader-monitor.ts';
import type { ServiceContext } from './service-context.ts';
import { registerWatch } from './watch.ts';

/** Registers every service of the client port. */
export function registerServices(context: ServiceContext, randomInt: (bound: number) => number): void {
  const { member } = context;
  const { config, scheduler } = member;
  const leaders = new LeaderMonitor({
    scheduler,
    electionTimeoutMs: config.electionTimeoutMs,
    hasLeader: () => member.hasLeader,
  });
  registerKv(context);
  registerWatch(context.server, {
    hub: member.hub,
    scheduler,
    header: (revision) => context.headerAt(revision),
    checkWatch: (call, key, rangeEnd) => {
      if (!member.auth.isEnabled) return undefined;
      const check = (who: AuthInfo | undefined): void => {
        const refused = member.auth.checkRange(who ?? NOBODY, key, rangeEnd);
        if (refused instanceof EtcdError) throw refused;
      };
      const who = context.identify(call);
      return who instanceof Promise ? who.then(check) : check(who);
    },
    maxRequestBytes: config.maxRequestBytes,
    progressIntervalMs: config.watchProgressNotifyIntervalMs,
    randomInt,
    isLearner: () => member.cluster.isLocalLearner,
    hasLeader: () => member.hasLeader,
    onLeaderLost: (lost) => leaders.onLost(lost),
  });
}
