import { isError } from '../apply/results.ts';
import {
  compareVersions,
  decideClusterVersion,
  formatVersion,
  parseVersion,
  type Version,
} from '../membership/version.ts';
import type { Logger } from '../ports/logger.ts';
import {
  ClusterMemberAttrSetRequest,
  ClusterVersionSetRequest,
  DowngradeInfoSetRequest,
} from '../wire/gen/membershippb.ts';
import type { Member } from './member.ts';
import { RaftRequestField } from './raft-request.ts';

const PUBLISH_RETRY_MS = 500;
/** As etcd: how often a leader looks whether the cluster can move to another version. */
const VERSION_INTERVAL_MS = 5_000;

export interface PublisherOptions {
  readonly member: Member;
  /** The release this member answers as. */
  readonly serverVersion: string;
  /** What the other members answer as; undefined for one that did not say. */
  readonly otherVersions: () => Promise<readonly (Version | undefined)[]>;
  readonly logger: Logger;
}

/** Tells the cluster this member's name and client URLs; as leader, also which version the cluster has. */
export class Publisher {
  readonly #options: PublisherOptions;
  readonly #stops: (() => void)[] = [];
  #published = false;
  #deciding = false;
  #stopped = false;

  constructor(options: PublisherOptions) {
    this.#options = options;
    const { member } = options;
    this.#stops.push(
      member.onLeadership(() => {
        if (member.isServing) this.#serving();
      }),
      member.scheduler.every(VERSION_INTERVAL_MS, () => void this.#decideVersion()),
    );
    if (member.isServing) this.#serving();
  }

  stop(): void {
    this.#stopped = true;
    for (const stop of this.#stops) stop();
  }

  #serving(): void {
    // Not from within the turn that brought the leader.
    this.#options.member.scheduler.soon(() => {
      this.#publish();
      void this.#decideVersion();
    });
  }

  #publish(): void {
    if (this.#published || this.#stopped) return;
    this.#published = true;
    const { member, logger } = this.#options;
    const { name, advertiseClientUrls } = member.config;
    const clientUrls = advertiseClientUrls.map(({ text }) => text);
    const body = ClusterMemberAttrSetRequest.encode({
      memberId: member.identity.memberId,
      memberAttributes: { name, clientUrls },
    });
    const again = (error: Error): void => {
      logger.warn('failed to publish local member to cluster through raft', { error: error.message });
      this.#published = false;
      member.scheduler.after(PUBLISH_RETRY_MS, () => this.#publish());
    };
    member.propose(RaftRequestField.clusterMemberAttrSet, body, undefined, {
      settled: (result) => {
        if (isError(result)) again(result);
        else
          logger.info('published local member to cluster through raft', {
            'local-member-id': member.memberIdText,
            'local-member-attributes': { Name: name, ClientURLs: clientUrls },
          });
      },
      failed: again,
    });
  }

  async #decideVersion(): Promise<void> {
    const { member, serverVersion, otherVersions, logger } = this.#options;
    if (this.#deciding || this.#stopped || !this.#isLeader()) return;
    this.#deciding = true;
    try {
      const versions = [parseVersion(serverVersion), ...(await otherVersions())];
      if (!this.#isLeader()) return;
      const { version: cluster, downgrade } = member.cluster;
      const decided = decideClusterVersion({ cluster, lowestServer: lowest(versions), downgrade });
      if (decided === 'invalid') {
        logger.error('failed to monitor cluster version', { target: downgrade.targetVersion });
        return;
      }
      if (decided !== undefined) await this.#setVersion(decided);
      await this.#endDowngrade(versions);
    } catch (error) {
      logger.warn('failed to monitor cluster version', { error: String(error) });
    } finally {
      this.#deciding = false;
    }
  }

  #isLeader(): boolean {
    return this.#options.member.isLeader;
  }

  /** A downgrade is over when all members run the version it goes to. */
  async #endDowngrade(versions: readonly (Version | undefined)[]): Promise<void> {
    const { downgrade } = this.#options.member.cluster;
    if (!downgrade.enabled) return;
    const target = parseVersion(downgrade.targetVersion);
    const isOver =
      target !== undefined &&
      versions.every((each) => each?.major === target.major && each.minor === target.minor);
    if (!isOver) return;
    const body = DowngradeInfoSetRequest.encode({ enabled: false, ver: '' });
    await this.#propose(RaftRequestField.downgradeInfoSet, body);
  }

  async #setVersion(version: Version): Promise<void> {
    this.#options.logger.info('setting up the cluster version', {
      'cluster-version': formatVersion(version),
    });
    const body = ClusterVersionSetRequest.encode({ ver: formatVersion(version) });
    await this.#propose(RaftRequestField.clusterVersionSet, body);
  }

  #propose(field: RaftRequestField, body: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#options.member.propose(field, body, undefined, { settled: () => resolve(), failed: reject });
    });
  }
}

/** Undefined while one is unknown. */
function lowest(versions: readonly (Version | undefined)[]): Version | undefined {
  let least: Version | undefined;
  for (const version of versions) {
    if (version === undefined) return undefined;
    if (least === undefined || compareVersions(version, least) < 0) least = version;
  }
  return least;
}
