import { parseVersion, type Version } from '../membership/version.ts';
import type { Logger } from '../ports/logger.ts';
import type { PeerClient } from '../ports/peer-client.ts';
import type { PeerTransport } from '../ports/peer-transport.ts';
import { AutoCompactor } from './auto-compaction.ts';
import type { CorruptionChecker } from './corruption-checker.ts';
import { ElectionTickAdvance } from './election-tick-advance.ts';
import { LearnerPromoter } from './learner-promoter.ts';
import { LeaseKeeper } from './lease-keeper.ts';
import type { Member } from './member.ts';
import type { Memberships } from './memberships.ts';
import { Publisher } from './publisher.ts';
import { StuckLog } from './stuck-log.ts';
import { VersionMonitor } from './version-monitor.ts';

const VERSION_TIMEOUT_MS = 2_000;

export interface UpkeepOptions {
  readonly member: Member;
  readonly memberships: Memberships;
  readonly corruption: CorruptionChecker;
  readonly peers: Pick<PeerTransport, 'activeSince' | 'activePeers'>;
  readonly client: Pick<PeerClient, 'versions'>;
  /** Campaigns in turn with the other voters. */
  readonly elect: () => void;
  /** The release that this member answers as. */
  readonly serverVersion: string;
  readonly logger: (caller: string) => Logger;
}

/** The periodic work of a member. Each part can be stopped by itself. */
export interface Upkeep {
  readonly publisher: Publisher;
  readonly corruption: CorruptionChecker;
  readonly leases: LeaseKeeper;
  readonly stuckLog: StuckLog;
  readonly versions: VersionMonitor;
  readonly electionTicks: ElectionTickAdvance;
  /** Undefined where the configuration turns it off. */
  readonly compaction: AutoCompactor | undefined;
  /** Undefined where the configuration turns it off. */
  readonly promoter: LearnerPromoter | undefined;
}

/** Starts the periodic work. */
export function startUpkeep(options: UpkeepOptions): Upkeep {
  const { member, memberships, corruption, peers, serverVersion, logger } = options;
  const { autoCompaction, autoPromoteLearners } = member.config;
  return {
    publisher: new Publisher(member, logger('server/publisher.ts')),
    corruption,
    leases: new LeaseKeeper(member, logger('server/lease-keeper.ts')),
    stuckLog: new StuckLog(member, peers, logger('server/stuck-log.ts')),
    versions: new VersionMonitor({
      ...{ member, serverVersion },
      otherVersions: () => otherVersions(options),
      logger: logger('server/version-monitor.ts'),
    }),
    electionTicks: new ElectionTickAdvance({
      ...{ member, peers, elect: options.elect },
      logger: logger('server/election-tick-advance.ts'),
    }),
    compaction:
      autoCompaction.mode === 'off'
        ? undefined
        : new AutoCompactor(member, autoCompaction, logger('server/auto-compaction.ts')),
    promoter: autoPromoteLearners
      ? new LearnerPromoter({ member, memberships, peers, logger: logger('server/learner-promoter.ts') })
      : undefined,
  };
}

export function stopUpkeep(upkeep: Upkeep): void {
  for (const part of Object.values(upkeep) as Upkeep[keyof Upkeep][]) part?.stop();
}

/** What the other members answer as; undefined for each that does not answer. */
function otherVersions({ member, client }: UpkeepOptions): Promise<(Version | undefined)[]> {
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
