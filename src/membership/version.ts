/** major.minor[.patch], as members and the cluster announce it. */
export interface Version {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
}

/** The cluster version until all members are known to run a later one. */
export const MIN_CLUSTER_VERSION: Version = { major: 3, minor: 0, patch: 0 };

/** Go parses each number of a version as an int64. */
const MAX_NUMBER = 2n ** 63n - 1n;

/**
 * @returns undefined if the text is not a semantic version. A pre-release or build suffix is accepted and dropped.
 */
export function parseVersion(text: string): Version | undefined {
  const match = /^(\d+)\.(\d+)\.(\d+)(?:[-+][0-9A-Za-z.+-]*)?$/.exec(text);
  if (match === null) return undefined;
  if (match.slice(1, 4).some((digits) => BigInt(digits) > MAX_NUMBER)) return undefined;
  return { major: Number(match[1]), minor: Number(match[2]), patch: Number(match[3]) };
}

export function formatVersion(version: Version): string {
  return `${version.major}.${version.minor}.${version.patch}`;
}

/** The cluster version as clients see it. */
export function formatClusterVersion(version: Version): string {
  return `${version.major}.${version.minor}`;
}

export function compareVersions(a: Version, b: Version): number {
  return a.major - b.major || a.minor - b.minor || a.patch - b.patch;
}

/** Cluster versions have no patch number. */
export function clusterVersionOf(version: Version): Version {
  return { major: version.major, minor: version.minor, patch: 0 };
}

/** A downgrade goes down one minor version. */
export function isValidDowngrade(from: Version, to: Version): boolean {
  return to.major === from.major && to.minor === from.minor - 1 && to.patch === 0;
}

/** Whether the cluster version may change from one to the other. Patch numbers are ignored. */
export function isValidClusterVersionChange(from: Version, to: Version): boolean {
  const [before, after] = [clusterVersionOf(from), clusterVersionOf(to)];
  return (
    isValidDowngrade(before, after) || (before.major === after.major && compareVersions(before, after) < 0)
  );
}

export interface DowngradeInfo {
  readonly enabled: boolean;
  /** Empty if there is no downgrade. */
  readonly targetVersion: string;
}

/**
 * The version that the leader should set for the cluster; undefined to keep the current one. `lowestServer` is the
 * lowest version of all members' servers; it is undefined while one of them has not answered.
 *
 * @returns `invalid` if a downgrade is enabled to a version that cannot be reached
 */
export function decideClusterVersion(state: {
  readonly cluster: Version | undefined;
  readonly lowestServer: Version | undefined;
  readonly downgrade: DowngradeInfo;
}): Version | 'invalid' | undefined {
  const { cluster, lowestServer, downgrade } = state;
  if (cluster === undefined) return clusterVersionOf(lowestServer ?? MIN_CLUSTER_VERSION);
  if (lowestServer === undefined) return undefined;
  if (downgrade.enabled) {
    const target = parseVersion(downgrade.targetVersion);
    if (target === undefined) return 'invalid';
    if (compareVersions(target, cluster) === 0) return undefined;
    if (!isValidDowngrade(cluster, target) || !isValidDowngrade(lowestServer, target)) return 'invalid';
    return clusterVersionOf(target);
  }
  const lower = compareVersions(cluster, lowestServer) < 0;
  return lower && isValidClusterVersionChange(cluster, lowestServer)
    ? clusterVersionOf(lowestServer)
    : undefined;
}
