import { hex } from '../lib/text.ts';
import { labelled, zipLabels, type Family, type Sample } from './family.ts';
import type { HistogramFamily } from './histogram.ts';
import type { PeerCounts } from '../ports/peer-transport.ts';
import type { Metrics } from './metrics.ts';

/** Metrics of the other members. As in etcd, a metric without a count is left out. */
export function peerFamilies(metrics: Metrics): Family[] {
  const { network } = metrics;
  const by = (label: 'To' | 'From', read: (peer: PeerCounts) => number) => (): Sample[] =>
    [...metrics.peers()].flatMap((peer): Sample[] => {
      const value = read(peer);
      return value === 0 ? [] : [[[[label, hex(peer.id)]], value]];
    });
  return [
    ...connectionFamilies(metrics),
    ...durationFamilies(network),
    labelled(
      'counter',
      'etcd_network_peer_sent_bytes_total',
      'Bytes sent to members.',
      by('To', (peer) => peer.sentBytes),
    ),
    labelled(
      'counter',
      'etcd_network_peer_received_bytes_total',
      'Bytes received from members.',
      by('From', (peer) => peer.receivedBytes),
    ),
    labelled(
      'counter',
      'etcd_network_peer_sent_failures_total',
      'Messages to members that could not be sent.',
      by('To', (peer) => peer.sentFailures),
    ),
    labelled(
      'counter',
      'etcd_network_peer_received_failures_total',
      'Messages from members that were refused.',
      by('From', (peer) => peer.receivedFailures),
    ),
    labelled(
      'counter',
      'etcd_network_snapshot_send_success',
      'Snapshots sent to members.',
      by('To', (peer) => peer.snapshotsSent),
    ),
    labelled(
      'gauge',
      'etcd_network_snapshot_send_inflights_total',
      'Snapshots that are being sent.',
      by('To', (peer) => peer.snapshotsSending),
    ),
    labelled(
      'counter',
      'etcd_network_snapshot_send_failures',
      'Snapshots that could not be sent.',
      by('To', (peer) => peer.snapshotSendFailures),
    ),
    labelled(
      'counter',
      'etcd_network_snapshot_receive_success',
      'Snapshots received from members.',
      by('From', (peer) => peer.snapshotsReceived),
    ),
    labelled(
      'gauge',
      'etcd_network_snapshot_receive_inflights_total',
      'Snapshots that are being received.',
      by('From', (peer) => peer.snapshotsReceiving),
    ),
    labelled(
      'counter',
      'etcd_network_snapshot_receive_failures',
      'Snapshots that could not be received.',
      by('From', (peer) => peer.snapshotReceiveFailures),
    ),
  ];
}

function connectionFamilies(metrics: Metrics): Family[] {
  const pair = (peer: PeerCounts): Sample[0] =>
    zipLabels(['Local', 'Remote'], [metrics.server.id, hex(peer.id)]);
  const active = (): Sample[] =>
    [...metrics.peers()]
      .filter((peer) => peer.isActive || peer.disconnects > 0)
      .map((peer): Sample => [pair(peer), peer.isActive ? 1 : 0]);
  const disconnected = (): Sample[] =>
    [...metrics.peers()]
      .filter((peer) => peer.disconnects > 0)
      .map((peer): Sample => [pair(peer), peer.disconnects]);
  return [
    labelled('gauge', 'etcd_network_active_peers', 'Members with a working connection.', active),
    labelled(
      'counter',
      'etcd_network_disconnected_peers_total',
      'Number of lost connections to members.',
      disconnected,
    ),
  ];
}

function durationFamilies(network: Metrics['network']): Family[] {
  const family = (name: string, help: string, histograms: HistogramFamily): Family => ({
    name,
    help,
    type: 'histogram',
    histograms: () =>
      [...histograms.entries()].map(
        ([values, value]) => [zipLabels(histograms.labels, values), value] as const,
      ),
  });
  return [
    family(
      'etcd_network_peer_round_trip_time_seconds',
      'Smoothed round-trip time to members.',
      network.peerRoundTrip,
    ),
    family(
      'etcd_network_snapshot_send_total_duration_seconds',
      'Time to send a snapshot.',
      network.snapshotSend,
    ),
    family(
      'etcd_network_snapshot_receive_total_duration_seconds',
      'Time to receive a snapshot.',
      network.snapshotReceive,
    ),
  ];
}
