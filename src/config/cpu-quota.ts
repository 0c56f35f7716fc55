/** Returns the text of a file, or undefined if it cannot be read. */
export type ReadFile = (path: string) => string | undefined;

const ROOT = '/sys/fs/cgroup';

interface Hierarchy {
  /** Where its groups can be. All are looked at, and what does not exist is passed over. */
  readonly folders: readonly string[];
  /** Returns the cores that the group in this folder may use, or undefined without a limit. */
  readonly quotaOf: (folder: string, read: ReadFile) => number | undefined;
}

const version2: Hierarchy = { folders: [ROOT, `${ROOT}/unified`], quotaOf: quotaOfVersion2 };
const version1: Hierarchy = { folders: [`${ROOT}/cpu`, `${ROOT}/cpu,cpuacct`], quotaOf: quotaOfVersion1 };

/**
 * Returns how many cores' worth of time the cgroups of this process allow, such as 1.5, or undefined without a limit. The
 * limits of a group hold for all groups in it, so the smallest one counts.
 *
 * `os.availableParallelism()` is not enough: before libuv 1.49 it knows no quota, and in later versions none of cgroup v1.
 */
export function cpuQuota(read: ReadFile): number | undefined {
  const quotas = (read('/proc/self/cgroup') ?? '').split('\n').flatMap((line) => {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) return [];
    if (controllers === '') return quotasOf(version2, path, read);
    return controllers.split(',').includes('cpu') ? quotasOf(version1, path, read) : [];
  });
  return quotas.length === 0 ? undefined : Math.min(...quotas);
}

/**
 * The quotas of a group and of those around it. In a container without a cgroup namespace, the path is that of the host,
 * and the container's own group is the root; what does not exist is passed over.
 */
function quotasOf({ folders, quotaOf }: Hierarchy, path: string, read: ReadFile): number[] {
  const names = path.split('/').filter((name) => name !== '');
  return folders.flatMap((folder) =>
    Array.from({ length: names.length + 1 }, (_, depth) =>
      quotaOf([folder, ...names.slice(0, depth)].join('/'), read),
    ).filter((quota) => quota !== undefined),
  );
}

function quotaOfVersion2(folder: string, read: ReadFile): number | undefined {
  const [quota, period] = (read(`${folder}/cpu.max`) ?? '').trim().split(' ');
  return cores(Number(quota), Number(period));
}

function quotaOfVersion1(folder: string, read: ReadFile): number | undefined {
  const [quota, period] = ['cpu.cfs_quota_us', 'cpu.cfs_period_us'].map((file) => {
    return Number(read(`${folder}/${file}`) ?? NaN);
  });
  return cores(quota, period);
}

/** Without a limit, the quota is `max` or -1. */
function cores(quota = NaN, period = NaN): number | undefined {
  return quota > 0 && period > 0 ? quota / period : undefined;
}
