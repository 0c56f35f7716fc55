import { parseVersion, type Version } from '../membership/version.ts';
import type { Logger } from '../ports/logger.ts';
import type { PeerClient } from '../ports/peer-client.ts';
import type { PeerTransport } from '../ports/peer-transport.ts';
import { AutoCompactor } from './auto-compaction.ts';
import { AutoDisarm } from './auto-disarm.ts';
import type { CorruptionChecker } from './corruption-checker.ts';
import { ElectionTickAdvance } from './election-tick-advance.ts';
import { LearnerPromoter } from './learner-promoter.ts';
import { LeaseExpiry } from './lease-expiry.ts';
import type { Member } from './member.ts';
import type { Memberships } from './memberships.ts';
import type { Rejoins } from './rejoins.ts';
import { Publisher } from './publisher.ts';
import { StuckLog } from './stuck-log.ts';
import { VersionMonitor } from './version-monitor.ts';

const VERSION_TIMEOUT_MS = 2_000;

export interface PeriodicTasksOptions {
  readonly member: Member;
  readonly memberships: Memberships;
  readonly rejoins: Pick<Rejoins, 'replacesVoter'>;
  readonly corruption: CorruptionChecker;
  readonly peers: Pick<PeerTransport, 'activeSince' | 'activePeers'>;
  readonly client: Pick<PeerClient, 'versions'>;
  /** Starts an early election, see `EarlyElection`. */
  readonly elect: () => void;
  /** The version that this member reports. */
  readonly serverVersion: string;
  readonly logger: (caller: string) => Logger;
}

/** The periodic tasks of a member. Each can be stopped separately. */
export interface PeriodicTasks {
  readonly publisher: Publisher;
  readonly corruption: CorruptionChecker;
  readonly leases: LeaseExpiry;
  readonly stuckLog: StuckLog;
  readonly versions: VersionMonitor;
  readonly electionTicks: ElectionTickAdvance;
  /** Undefined if it is turned off. */
  readonly compaction: AutoCompactor | undefined;
  /** Undefined if it is turned off. */
  readonly disarm: AutoDisarm | undefined;
  /** Undefined if it is turned off. */
  readonly promoter: LearnerPromoter | undefined;
}

export function startPeriodicTasks(options: PeriodicTasksOptions): PeriodicTasks {
  const { member, memberships, rejoins, corruption, peers, serverVersion, logger } = options;
  const { autoCompaction, autoDisarmPercent, autoPromoteLearners, rejoin } = member.config;
  const compaction =
    autoCompaction.mode === 'off'
      ? undefined
      : new AutoCompactor(member, autoCompaction, logger('server/auto-compaction.ts'));
  return {
    publisher: new Publisher(member, logger('server/publisher.ts')),
    corruption,
    leases: new LeaseExpiry(member, logger('server/lease-expiry.ts')),
    stuckLog: new StuckLog(member, peers, logger('server/stuck-log.ts')),
    versions: new VersionMonitor({
      member,
      serverVersion,
      otherVersions: () => otherVersions(options),
      logger: logger('server/version-monitor.ts'),
    }),
    electionTicks: new ElectionTickAdvance({
      member,
      peers,
      elect: options.elect,
      logger: logger('server/election-tick-advance.ts'),
    }),
    compaction,
    disarm:
      autoDisarmPercent === undefined
        ? undefined
        : new AutoDisarm({
            member,
            belowPercent: autoDisarmPercent,
            retained: () => compaction?.retained(),
            logger: logger('server/auto-disarm.ts'),
          }),
    promoter:
      autoPromoteLearners || rejoin
        ? new LearnerPromoter({
            member,
            memberships,
            peers,
            promotes: (id) => autoPromoteLearners || rejoins.replacesVoter(id),
            logger: logger('server/learner-promoter.ts'),
          })
        : undefined,
  };
}

export function stopPeriodicTasks(periodicTasks: PeriodicTasks): void {
  for (const part of Object.values(periodicTasks) as PeriodicTasks[keyof PeriodicTasks][]) part?.stop();
}

/** Requests the versions of the other members; undefined for a member that does not respond. */
function otherVersions({ member, client }: PeriodicTasksOptions): Promise<(Version | undefined)[]> {
  const others = member.cluster.members().filter(({ id }) => id !== member.identity.memberId);
  return Promise.all(
    others.map(({ peerUrls }) =>
      client.versions(peerUrls, VERSION_TIMEOUT_MS).then(
        ({ server }) => parseVersion(server),
        () => undefined,
      ),
    ),
  );
}
