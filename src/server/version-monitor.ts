import { isError } from '../apply/results.ts';
import {
  compareVersions,
  decideClusterVersion,
  formatVersion,
  parseVersion,
  type Version,
} from '../membership/version.ts';
import type { Logger } from '../ports/logger.ts';
import { ClusterVersionSetRequest, DowngradeInfoSetRequest } from '../wire/gen/membershippb.ts';
import type { Member } from './member.ts';
import { RaftRequestField } from './raft-request.ts';

/** As etcd: interval at which the leader checks whether the cluster version must change. */
const INTERVAL_MS = 4_000;

export interface VersionMonitorOptions {
  readonly member: Member;
  /** The version that this member reports. */
  readonly serverVersion: string;
  /** Requests the versions of the other members; undefined for a member that does not respond. */
  readonly otherVersions: () => Promise<readonly (Version | undefined)[]>;
  readonly logger: Logger;
}

/** As leader, decides the cluster version and when a downgrade is complete. */
export class VersionMonitor {
  readonly #options: VersionMonitorOptions;
  readonly #stops: (() => void)[] = [];
  #deciding = false;
  #stopped = false;

  constructor(options: VersionMonitorOptions) {
    this.#options = options;
    const { member } = options;
    const { scheduler, config } = member;
    const decide = (): void => void this.#whileLeading(() => this.#decideVersion());
    this.#stops.push(
      // Not within the raft turn that reported the leader.
      member.onLeadership(() => scheduler.soon(decide)),
      scheduler.every(INTERVAL_MS, decide),
    );
    if (config.downgradeCheckTimeMs > 0) {
      const end = (): void => void this.#whileLeading(() => this.#endDowngrade());
      this.#stops.push(scheduler.every(config.downgradeCheckTimeMs, end));
    }
    scheduler.soon(decide);
  }

  stop(): void {
    this.#stopped = true;
    for (const stop of this.#stops) stop();
  }

  async #whileLeading(task: () => Promise<void>): Promise<void> {
    if (this.#deciding || !this.#leads()) return;
    this.#deciding = true;
    try {
      await task();
    } catch (error) {
      this.#options.logger.error('failed to monitor cluster version', { error: String(error) });
    } finally {
      this.#deciding = false;
    }
  }

  #leads(): boolean {
    const { isLeader, isServing } = this.#options.member;
    return isLeader && isServing && !this.#stopped;
  }

  async #versions(): Promise<readonly (Version | undefined)[]> {
    const { serverVersion, otherVersions } = this.#options;
    return [parseVersion(serverVersion), ...(await otherVersions())];
  }

  async #decideVersion(): Promise<void> {
    const { member, logger } = this.#options;
    const lowestServer = lowest(await this.#versions());
    if (!this.#leads()) return;
    const { version: cluster, downgrade } = member.cluster;
    const decided = decideClusterVersion({ cluster, lowestServer, downgrade });
    if (decided === undefined) return;
    if (decided === 'invalid') throw new Error('invalid downgrade target');
    const to = formatVersion(decided);
    if (cluster === undefined) logger.info('setting up initial cluster version', { 'cluster-version': to });
    else logger.info('updating cluster version', { from: formatVersion(cluster), to });
    await this.#propose(RaftRequestField.clusterVersionSet, ClusterVersionSetRequest.encode({ ver: to }));
    logger.info('cluster version is updated', { 'cluster-version': to });
  }

  /** A downgrade is complete when all members run the target version. */
  async #endDowngrade(): Promise<void> {
    const { member, logger } = this.#options;
    if (!member.cluster.downgrade.enabled) return;
    const versions = await this.#versions();
    const { downgrade } = member.cluster;
    const target = parseVersion(downgrade.targetVersion);
    if (!this.#leads() || !downgrade.enabled || target === undefined) return;
    const { major, minor } = target;
    if (!versions.every((each) => each?.major === major && each.minor === minor)) return;
    logger.info('the cluster has been downgraded', { 'cluster-version': downgrade.targetVersion });
    const body = DowngradeInfoSetRequest.encode({ enabled: false, ver: '' });
    await this.#propose(RaftRequestField.downgradeInfoSet, body);
  }

  #propose(field: RaftRequestField, body: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#options.member.propose(field, body, undefined, {
        settled: (result) => {
          if (isError(result)) reject(result);
          else resolve();
        },
        failed: reject,
      });
    });
  }
}

/** @returns the lowest version, or undefined if one is unknown */
function lowest(versions: readonly (Version | undefined)[]): Version | undefined {
  let least: Version | undefined;
  for (const version of versions) {
    if (version === undefined) return undefined;
    if (least === undefined || compareVersions(version, least) < 0) least = version;
  }
  return least;
}
