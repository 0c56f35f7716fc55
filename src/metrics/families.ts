import {
  counter,
  gauge,
  histogram,
  labelled,
  zipLabels,
  type Family,
  type Labels,
  type Sample,
} from './family.ts';
import { type CounterFamily, Histogram, type HistogramFamily } from './histogram.ts';
import { indexPauseBounds, latencyBounds, type Metrics } from './metrics.ts';
import { grpcCodeNames } from './grpc-codes.ts';
import { peerFamilies } from './peer-families.ts';
import { backupFamilies } from './backup-families.ts';
import { usageFamilies } from './usage-families.ts';
import type { Versions } from './versions.ts';

/** Every metric of etcd by its name, with values from `metrics`. The help texts are our own. */
export function etcdFamilies(metrics: Metrics, versions: Versions, extensive: boolean): Family[] {
  return [
    ...serverFamilies(metrics, versions),
    ...mvccFamilies(metrics),
    ...watchFamilies(metrics),
    ...leaseFamilies(metrics),
    ...diskFamilies(metrics),
    ...networkFamilies(metrics),
    ...peerFamilies(metrics),
    ...backupFamilies(metrics),
    ...usageFamilies(metrics),
    ...grpcFamilies(metrics),
    ...scrapeFamilies(metrics),
    ...constantFamilies(),
    ...(extensive ? extensiveFamilies(metrics) : []),
  ];
}

function countsOf(family: CounterFamily): Sample[] {
  return [...family.entries()].map(([values, count]) => [zipLabels(family.labels, values), count]);
}

function histogramsOf(name: string, help: string, family: HistogramFamily): Family {
  const entries = (): (readonly [Labels, Histogram])[] =>
    [...family.entries()].map(([values, value]) => [zipLabels(family.labels, values), value] as const);
  return { name, type: 'histogram', help, histograms: entries };
}

/** A gauge with value 1 and the information in a label; absent while it is unknown. */
function info(name: string, help: string, label: string, read: () => string): Family {
  return labelled('gauge', name, help, () => (read() === '' ? [] : [[[[label, read()]], 1]]));
}

function serverFamilies(metrics: Metrics, versions: Versions): Family[] {
  const { server } = metrics;
  const features = (): Sample[] =>
    [...server.features].map(([name, { stage, enabled }]) => [
      [
        ['name', name],
        ['stage', stage],
      ],
      enabled ? 1 : 0,
    ]);
  return [
    labelled('counter', 'etcd_server_client_requests_total', 'Requests by kind and client version.', () =>
      countsOf(server.clientRequests),
    ),
    info(
      'etcd_cluster_version',
      'The version the cluster runs at, as a label.',
      'cluster_version',
      () => server.clusterVersion,
    ),
    info(
      'etcd_server_version',
      'The version of this server, as a label.',
      'server_version',
      () => versions.server,
    ),
    info(
      'etcd_server_go_version',
      'The runtime of this server, as a label.',
      'server_go_version',
      () => versions.runtime,
    ),
    info('etcd_server_id', 'The ID of this member, as a label.', 'server_id', () => server.id),
    labelled('gauge', 'etcd_server_feature_enabled', 'Whether a feature gate is on.', features),
    gauge('etcd_debugging_auth_revision', 'Revision of users and roles.', () => server.authRevision),
    gauge('etcd_server_has_leader', 'Whether a leader is known.', () => server.hasLeader),
    gauge('etcd_server_is_leader', 'Whether this member leads.', () => server.isLeader),
    gauge('etcd_server_is_learner', 'Whether this member is a learner.', () => server.isLearner),
    counter(
      'etcd_server_leader_changes_seen_total',
      'Number of leader changes seen.',
      () => server.leaderChangesSeen,
    ),
    counter('keystead_audit_log_lines_total', 'Lines written to the audit log.', () => metrics.audit.written),
    counter(
      'keystead_audit_log_dropped_lines_total',
      'Lines of the audit log that were dropped because the disk was too slow.',
      () => metrics.audit.dropped,
    ),
    counter(
      'keystead_stuck_log_handovers_total',
      'Times that this leader transferred its leadership because its log could not be synced.',
      () => server.stuckLogHandovers,
    ),
    counter(
      'keystead_auto_disarms_total',
      'NOSPACE alarms that this leader disarmed.',
      () => server.autoDisarms,
    ),
    counter(
      'keystead_auto_disarm_compactions_total',
      'Compactions that this leader started because of the NOSPACE alarm.',
      () => server.autoDisarmCompactions,
    ),
    counter(
      'etcd_server_learner_promote_successes',
      'Learners promoted by this leader.',
      () => server.learnerPromoteSuccesses,
    ),
    counter(
      'etcd_server_heartbeat_send_failures_total',
      'Heartbeats that were sent too late, usually because of a slow disk.',
      () => server.heartbeatSendFailures,
    ),
    gauge(
      'etcd_server_proposals_applied_total',
      'Index of the last applied entry.',
      () => server.proposalsApplied,
    ),
    gauge(
      'etcd_server_proposals_committed_total',
      'Index of the last committed entry.',
      () => server.proposalsCommitted,
    ),
    counter('etcd_server_proposals_failed_total', 'Proposals that failed.', () => server.proposalsFailed),
    gauge('etcd_server_proposals_pending', 'Proposals not yet applied.', () => server.proposalsPending),
    gauge(
      'etcd_server_quota_backend_bytes',
      'Size of the store at which writes stop.',
      () => server.quotaBackendBytes,
    ),
    counter(
      'etcd_server_slow_read_indexes_total',
      'Read indexes that were confirmed late or not in time.',
      () => server.slowReadIndexes,
    ),
    counter('etcd_server_slow_apply_total', 'Slow applies of entries.', () => server.slowApplies),
    gauge(
      'etcd_server_snapshot_apply_in_progress_total',
      'Whether a snapshot is being installed.',
      () => server.snapshotApplyInProgress,
    ),
    counter('etcd_server_health_success', 'Health checks passed.', () => server.healthSuccess),
    counter('etcd_server_health_failures', 'Health checks failed.', () => server.healthFailures),
    counter('etcd_debugging_server_lease_expired_total', 'Leases that expired.', () => server.leaseExpired),
    histogramsOf('etcd_server_apply_duration_seconds', 'Time to apply one request.', server.applyDuration),
    histogramsOf('etcd_server_range_duration_seconds', 'Time to read one range.', server.rangeDuration),
    histogramsOf(
      'etcd_server_request_duration_seconds',
      'Time from a request to its response.',
      server.requestDuration,
    ),
    labelled('gauge', 'etcd_server_healthcheck', 'Last result of each health check.', () =>
      countsOf(server.healthCheck),
    ),
    labelled('counter', 'etcd_server_healthchecks_total', 'Results of each health check.', () =>
      countsOf(server.healthChecks),
    ),
  ];
}

function mvccFamilies({ mvcc }: Metrics): Family[] {
  return [
    gauge(
      'etcd_debugging_mvcc_current_revision',
      'Current revision of the store.',
      () => mvcc.currentRevision,
    ),
    gauge(
      'etcd_debugging_mvcc_compact_revision',
      'Revision of the last compaction.',
      () => mvcc.compactRevision,
    ),
    gauge('etcd_debugging_mvcc_keys_total', 'Keys in the store.', () => mvcc.keys),
    counter('etcd_mvcc_put_total', 'Puts applied.', () => mvcc.putTotal),
    counter('etcd_mvcc_delete_total', 'Deletes applied.', () => mvcc.deleteTotal),
    counter('etcd_mvcc_range_total', 'Ranges read.', () => mvcc.rangeTotal),
    counter('etcd_mvcc_txn_total', 'Transactions applied.', () => mvcc.txnTotal),
    gauge(
      'etcd_debugging_mvcc_total_put_size_in_bytes',
      'Bytes of keys and values put.',
      () => mvcc.totalPutBytes,
    ),
    counter(
      'etcd_debugging_mvcc_db_compaction_keys_total',
      'Revisions removed by compaction.',
      () => mvcc.compactionKeys,
    ),
    gauge(
      'etcd_debugging_mvcc_db_compaction_last',
      'Time of the last compaction, in seconds since the epoch.',
      () => mvcc.compactionLastSeconds,
    ),
    histogram(
      'etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds',
      'Pause of one slice of a compaction.',
      mvcc.compactionPauseMs,
    ),
    histogram(
      'etcd_debugging_mvcc_db_compaction_total_duration_milliseconds',
      'Time of a whole compaction.',
      mvcc.compactionTotalMs,
    ),
    histogram('etcd_mvcc_hash_duration_seconds', 'Time to hash the whole store.', mvcc.hashDuration),
    histogram(
      'etcd_mvcc_hash_rev_duration_seconds',
      'Time to hash the store up to a revision.',
      mvcc.hashRevDuration,
    ),
    gauge(
      'etcd_mvcc_db_open_read_transactions',
      'Open readers of the store.',
      () => mvcc.openReadTransactions,
    ),
    gauge('etcd_mvcc_db_total_size_in_bytes', 'Size of the store on disk.', () => mvcc.dbTotalBytes),
    gauge(
      'etcd_mvcc_db_total_size_in_use_in_bytes',
      'Size of the live data on disk.',
      () => mvcc.dbInUseBytes,
    ),
  ];
}

function watchFamilies({ mvcc }: Metrics): Family[] {
  return [
    counter('etcd_debugging_mvcc_events_total', 'Events sent to watchers.', () => mvcc.eventsTotal),
    gauge('etcd_debugging_mvcc_pending_events_total', 'Events waiting to be sent.', () => mvcc.pendingEvents),
    gauge(
      'etcd_debugging_mvcc_slow_watcher_total',
      'Watchers that have not caught up.',
      () => mvcc.slowWatchers,
    ),
    gauge('etcd_debugging_mvcc_watcher_total', 'Watchers.', () => mvcc.watchers),
    gauge('etcd_debugging_mvcc_watch_stream_total', 'Watch streams.', () => mvcc.watchStreams),
    histogram(
      'etcd_debugging_server_watch_send_loop_control_stream_duration_seconds',
      'Time to send a control response of a watch.',
      mvcc.watchSendControl,
    ),
    histogram(
      'etcd_debugging_server_watch_send_loop_progress_duration_seconds',
      'Time to send a progress notice.',
      mvcc.watchSendProgress,
    ),
    histogram(
      'etcd_debugging_server_watch_send_loop_watch_stream_duration_seconds',
      'Time to send the events of one response.',
      mvcc.watchSendStream,
    ),
    histogram(
      'etcd_debugging_server_watch_send_loop_watch_stream_duration_per_event_seconds',
      'Time to send one event.',
      mvcc.watchSendPerEvent,
    ),
  ];
}

function leaseFamilies({ lease }: Metrics): Family[] {
  return [
    counter('etcd_debugging_lease_granted_total', 'Leases granted.', () => lease.granted),
    counter('etcd_debugging_lease_renewed_total', 'Leases renewed at the leader.', () => lease.renewed),
    counter('etcd_debugging_lease_revoked_total', 'Leases revoked.', () => lease.revoked),
    histogram('etcd_debugging_lease_ttl_total', 'TTLs of granted leases, in seconds.', lease.ttlSeconds),
  ];
}

function diskFamilies({ disk }: Metrics): Family[] {
  return [
    histogram('etcd_disk_wal_fsync_duration_seconds', 'Time to sync the log.', disk.walFsync),
    histogram(
      'etcd_disk_wal_write_duration_seconds',
      'Time to put records into the buffer that the log is written from.',
      disk.walWrite,
    ),
    gauge('etcd_disk_wal_write_bytes_total', 'Bytes written to the log.', () => disk.walWriteBytes),
    histogram(
      'etcd_disk_backend_commit_duration_seconds',
      'Time to commit a batch to the store.',
      disk.backendCommit,
    ),
    histogram(
      'etcd_debugging_disk_backend_commit_write_duration_seconds',
      'Time to write a batch to the store.',
      disk.backendCommitWrite,
    ),
    histogram('etcd_disk_backend_defrag_duration_seconds', 'Time to defragment.', disk.backendDefrag),
    histogram(
      'etcd_disk_backend_snapshot_duration_seconds',
      'Time to send a snapshot.',
      disk.backendSnapshot,
    ),
    gauge('etcd_disk_defrag_inflight', 'Whether a defragmentation is running.', () => disk.defragInflight),
    histogram(
      'etcd_snap_fsync_duration_seconds',
      'Time to sync the store before the log is released.',
      disk.snapFsync,
    ),
    histogram(
      'etcd_snap_db_save_total_duration_seconds',
      'Time to receive a snapshot and make a store of it.',
      disk.snapDbSave,
    ),
    histogram(
      'etcd_debugging_snap_save_total_duration_seconds',
      'Time to sync the store and to record that in the log.',
      disk.snapSaveTotal,
    ),
  ];
}

function networkFamilies({ network }: Metrics): Family[] {
  return [
    counter(
      'etcd_network_client_grpc_received_bytes_total',
      'Bytes received from gRPC clients.',
      () => network.clientReceivedBytes,
    ),
    counter(
      'etcd_network_client_grpc_sent_bytes_total',
      'Bytes sent to gRPC clients.',
      () => network.clientSentBytes,
    ),
    labelled('gauge', 'etcd_network_known_peers', 'Peers that this member knows.', () =>
      countsOf(network.knownPeers),
    ),
  ];
}

function grpcFamilies(metrics: Metrics): Family[] {
  const each = (read: 'started' | 'messagesReceived' | 'messagesSent') => (): Sample[] =>
    [...metrics.methods()].map((method) => [methodLabels(method), method[read]]);
  const handled = (): Sample[] =>
    [...metrics.methods()].flatMap((method) =>
      grpcCodeNames.map((name, code): Sample => [
        [['grpc_code', name], ...methodLabels(method)],
        method.handled[code] ?? 0,
      ]),
    );
  return [
    labelled('counter', 'grpc_server_started_total', 'Started calls.', each('started')),
    labelled(
      'counter',
      'grpc_server_msg_received_total',
      'Messages received on calls.',
      each('messagesReceived'),
    ),
    labelled('counter', 'grpc_server_msg_sent_total', 'Messages sent on calls.', each('messagesSent')),
    labelled('counter', 'grpc_server_handled_total', 'Completed calls, by status.', handled),
  ];
}

function methodLabels({ service, method, type }: { service: string; method: string; type: string }): Labels {
  return [
    ['grpc_method', method],
    ['grpc_service', service],
    ['grpc_type', type],
  ];
}

function scrapeFamilies({ scrapes }: Metrics): Family[] {
  const byCode = (): Sample[] => [...scrapes.byCode].map(([code, count]) => [[['code', code]], count]);
  return [
    gauge('promhttp_metric_handler_requests_in_flight', 'Scrapes in progress.', () => scrapes.inFlight),
    labelled('counter', 'promhttp_metric_handler_requests_total', 'Scrapes by HTTP status.', byCode),
  ];
}

/** Metrics that are always zero or empty, in etcd's server too or only here. The help text says why. */
function constantFamilies(): Family[] {
  const zero = (): number => 0;
  const empty = new Histogram(latencyBounds);
  return [
    counter(
      'etcd_server_read_indexes_failed_total',
      'A read index is repeated when the leader changes; always 0.',
      zero,
    ),
    histogram(
      'etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds',
      'The index is part of the store and compacted with it; always empty.',
      new Histogram(indexPauseBounds),
    ),
    histogram(
      'etcd_debugging_disk_backend_commit_rebalance_duration_seconds',
      'Phase of a bbolt commit; always empty.',
      empty,
    ),
    histogram(
      'etcd_debugging_disk_backend_commit_spill_duration_seconds',
      'Phase of a bbolt commit; always empty.',
      empty,
    ),
    histogram(
      'etcd_snap_db_fsync_duration_seconds',
      'The received file is imported into a store and then removed, so it is not synced; always empty.',
      empty,
    ),
    histogram(
      'etcd_debugging_snap_save_marshalling_duration_seconds',
      'The store is the snapshot, so no snapshot file is encoded; always empty.',
      empty,
    ),
    gauge('etcd_grpc_proxy_cache_hits_total', 'Part of grpc-proxy; always 0.', zero),
    gauge('etcd_grpc_proxy_cache_keys_total', 'Part of grpc-proxy; always 0.', zero),
    gauge('etcd_grpc_proxy_cache_misses_total', 'Part of grpc-proxy; always 0.', zero),
    counter('etcd_grpc_proxy_events_coalescing_total', 'Part of grpc-proxy; always 0.', zero),
    gauge('etcd_grpc_proxy_watchers_coalescing_total', 'Part of grpc-proxy; always 0.', zero),
    counter('etcd_debugging_store_expires_total', 'Part of the v2 store; always 0.', zero),
    counter('etcd_debugging_store_watch_requests_total', 'Part of the v2 store; always 0.', zero),
    gauge('etcd_debugging_store_watchers', 'Part of the v2 store; always 0.', zero),
  ];
}

function extensiveFamilies({ callDurations }: Metrics): Family[] {
  return [
    histogramsOf('grpc_server_handling_seconds', 'Time from the start of a call to its end.', callDurations),
  ];
}
