import type { MemberReport, StatusReport } from '../report.ts';

export const AT_MS = Date.UTC(2026, 10, 22, 9, 30, 0);

const figures = {
  version: '0.1.0',
  uptimeSeconds: 3700,
  term: 7,
  unapplied: 0,
  revision: 1000,
  storeBytes: 2 ** 30,
};

function member(id: string, more: Partial<MemberReport>): MemberReport {
  return {
    id,
    name: `m${id}`,
    isLearner: false,
    clientUrls: [`https://10.0.0.${id}:2379`],
    state: 'connected',
    roundTripMs: 0.5,
    lag: 0,
    own: figures,
    ...more,
  };
}

/** A report of a healthy cluster of three, made by its leader. */
export function exampleReport(more: Partial<StatusReport> = {}): StatusReport {
  return {
    atMs: AT_MS,
    self: {
      id: '1',
      name: 'm1',
      clusterId: 'c1',
      version: '0.1.0',
      etcdVersion: '3.7.1',
      clusterVersion: '3.7.0',
      runtime: 'Node.js 22.0.0',
      uptimeSeconds: 3700,
      memoryBytes: 90 * 2 ** 20,
    },
    leader: '1',
    raft: {
      term: 7,
      committed: 2000,
      applied: 2000,
      pendingProposals: 0,
      failedProposals: 0,
      leaderChanges: 1,
    },
    members: [member('1', { state: 'self', roundTripMs: null }), member('2', {}), member('3', {})],
    alarms: [],
    space: {
      storeBytes: 2 ** 30,
      inUseBytes: 2 ** 29,
      quotaBytes: 2 ** 31,
      keys: 12_345,
      revision: 1000,
      compactRevision: 900,
      watchers: 42,
      disk: { freeBytes: 50 * 2 ** 30, totalBytes: 100 * 2 ** 30 },
    },
    eventLoop: {
      recent: { seconds: 45, p50Ms: 0.1, p99Ms: 2.34, maxMs: 15 },
      sinceStart: { seconds: 3700, p50Ms: 0.1, p99Ms: 3, maxMs: 150 },
    },
    slowRequests: [
      { method: 'KV/Range', key: '/registry/pods/', isRange: true, tookMs: 1234, atMs: AT_MS - 90_000 },
      { method: 'Lease/LeaseGrant', key: null, isRange: false, tookMs: 56.7, atMs: AT_MS - 5_000 },
    ],
    usage: {
      isComplete: true,
      prefixes: [
        { prefix: '/registry/pods', keys: 10, bytes: 2048, historyBytes: 1024, writes: 500, watchers: 3 },
      ],
      rest: { count: 0, prefix: '', keys: 0, bytes: 0, historyBytes: 0, writes: 0, watchers: 0 },
    },
    backup: {
      memberId: '1',
      isLeader: true,
      intervalSeconds: 3600,
      lastSuccessMs: AT_MS - 600_000,
      lastSizeBytes: 5 * 2 ** 20,
      lastVerifiedMs: AT_MS - 590_000,
      lastDurationSeconds: 2.5,
      failures: 0,
      isInProgress: false,
    },
    ...more,
  };
}
