import { featureGates } from '../config/feature-gates.ts';
import { hex } from '../lib/text.ts';
import { formatClusterVersion } from '../membership/version.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Member } from './member.ts';

/** Connects the metrics to a member: counts its events and updates its gauges before each scrape. */
export function observeMember(member: Member, metrics: Metrics): void {
  const { server, mvcc } = metrics;
  server.id = member.memberIdText;
  for (const [name, { stage }] of Object.entries(featureGates)) {
    server.features.set(name, {
      stage,
      enabled: [...member.config.featureGates].some(([gate, enabled]) => gate === name && enabled),
    });
  }
  member.onEvents((events) => {
    let deletes = 0;
    let putBytes = 0;
    for (const event of events) {
      if (event.isDelete) deletes++;
      else putBytes += event.kv.length;
    }
    mvcc.deleteTotal += deletes;
    mvcc.putTotal += events.length - deletes;
    mvcc.totalPutBytes += putBytes;
  });
  metrics.beforeScrape(() => {
    server.hasLeader = member.hasLeader ? 1 : 0;
    server.isLeader = member.isLeader ? 1 : 0;
    server.isLearner = member.cluster.isLocalLearner ? 1 : 0;
    const { version } = member.cluster;
    server.clusterVersion = version === undefined ? '' : formatClusterVersion(version);
    server.proposalsCommitted = member.consensus.committed;
    server.proposalsApplied = member.applied.index;
    server.proposalsPending = member.pendingProposals;
    server.quotaBackendBytes = member.quota.limitBytes;
    server.authRevision = member.auth.revision;
    mvcc.currentRevision = member.store.revision;
    mvcc.compactRevision = member.store.compactRevision;
    const { lease } = metrics;
    lease.granted = member.lessor.counters.granted;
    lease.revoked = member.lessor.counters.revoked;
    server.proposalsFailed = member.failedProposals;
    server.slowReadIndexes = member.slowReadIndexes;
    const { hub } = member;
    mvcc.watchers = hub.counters.watchers;
    mvcc.slowWatchers = hub.counters.slowWatchers;
    mvcc.watchStreams = hub.counters.outlets;
    mvcc.eventsTotal = hub.counters.eventsTotal;
    mvcc.pendingEvents = hub.pendingEvents;
    mvcc.keys = member.store.keyCount;
    for (const { id } of member.cluster.members())
      metrics.network.knownPeers.set([member.memberIdText, hex(id)], 1);
    for (const id of member.cluster.removedIds())
      metrics.network.knownPeers.set([member.memberIdText, hex(id)], 0);
    mvcc.openReadTransactions = member.engine.openReads;
    const { inUse } = member.engine.sizes();
    mvcc.dbTotalBytes = member.store.sizeBytes;
    mvcc.dbInUseBytes = Math.min(inUse, member.store.sizeBytes);
  });
}
