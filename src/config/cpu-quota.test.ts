import { describe, expect, it } from 'vitest';
import { cpuQuota } from './cpu-quota.ts';

const quotaOf = (files: Readonly<Record<string, string>>): number | undefined =>
  cpuQuota((path) => files[path]);

describe('the quota of cgroup v2', () => {
  it('is that of the own group in a container', () => {
    const files = { '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/cpu.max': '150000 100000\n' };
    expect(quotaOf(files)).toBe(1.5);
  });

  it('is the smallest of the group and those around it', () => {
    const files = {
      '/proc/self/cgroup': '0::/kubepods.slice/pod.slice/container\n',
      '/sys/fs/cgroup/kubepods.slice/cpu.max': '1600000 100000\n',
      '/sys/fs/cgroup/kubepods.slice/pod.slice/cpu.max': '300000 100000\n',
      '/sys/fs/cgroup/kubepods.slice/pod.slice/container/cpu.max': 'max 100000\n',
    };
    expect(quotaOf(files)).toBe(3);
  });

  it('is none if the group has no limit, or no controller of processors', () => {
    expect(quotaOf({ '/proc/self/cgroup': '0::/a\n', '/sys/fs/cgroup/a/cpu.max': 'max 100000\n' })).toBe(
      undefined,
    );
    expect(quotaOf({ '/proc/self/cgroup': '0::/a\n' })).toBe(undefined);
  });
});

describe('the quota of cgroup v1', () => {
  const quota = (folder: string, us: number) => ({
    [`/sys/fs/cgroup/${folder}/cpu.cfs_quota_us`]: `${us}\n`,
    [`/sys/fs/cgroup/${folder}/cpu.cfs_period_us`]: '100000\n',
  });
  const groups = (path: string) => ({
    '/proc/self/cgroup': `9:name=systemd:/other\n2:cpu,cpuacct:${path}\n1:cpuset:/other\n0::/\n`,
  });

  it('is the smallest of the group and those around it', () => {
    expect(quotaOf({ ...groups('/a/b'), ...quota('cpu/a', 250_000), ...quota('cpu/a/b', 400_000) })).toBe(
      2.5,
    );
    expect(quotaOf({ ...groups('/a'), ...quota('cpu,cpuacct/a', 50_000) })).toBe(0.5);
  });

  it('is that of the root in a container that sees the path of the host', () => {
    expect(quotaOf({ ...groups('/docker/1f'), ...quota('cpu', 200_000) })).toBe(2);
  });

  it('is none with -1, and that of other groups does not count', () => {
    expect(quotaOf({ ...groups('/a'), ...quota('cpu/a', -1), ...quota('cpu/other', 100_000) })).toBe(
      undefined,
    );
  });
});

it('there is no quota without cgroups', () => {
  expect(quotaOf({})).toBe(undefined);
  expect(quotaOf({ '/proc/self/cgroup': 'nonsense\n0:\n' })).toBe(undefined);
});
