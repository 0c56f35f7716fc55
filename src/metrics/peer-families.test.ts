import { expect, it } from 'vitest';
import { exposition } from './exposition.ts';
import { Metrics } from './metrics.ts';
import { peerFamilies } from './peer-families.ts';

const idle = {
  disconnects: 0,
  sentBytes: 0,
  receivedBytes: 0,
  sentFailures: 0,
  receivedFailures: 0,
  snapshotsSent: 0,
  snapshotsSending: 0,
  snapshotSendFailures: 0,
  snapshotsReceived: 0,
  snapshotsReceiving: 0,
  snapshotReceiveFailures: 0,
};

function samples(metrics: Metrics): string[] {
  return exposition(peerFamilies(metrics))
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
}

it('a single member has none', () => {
  expect(samples(new Metrics())).toEqual([]);
});

it('shows the counts by member', () => {
  const metrics = new Metrics();
  metrics.server.id = 'a';
  metrics.peers = () => [
    { ...idle, id: 0xbn, isActive: true, sentBytes: 12, receivedFailures: 1 },
    { ...idle, id: 0xcn, isActive: false, disconnects: 2, snapshotsSent: 1 },
    { ...idle, id: 0xdn, isActive: false },
  ];
  expect(samples(metrics)).toEqual([
    'etcd_network_active_peers{Local="a",Remote="b"} 1',
    'etcd_network_active_peers{Local="a",Remote="c"} 0',
    'etcd_network_disconnected_peers_total{Local="a",Remote="c"} 2',
    'etcd_network_peer_received_failures_total{From="b"} 1',
    'etcd_network_peer_sent_bytes_total{To="b"} 12',
    'etcd_network_snapshot_send_success{To="c"} 1',
  ]);
});

it('has the bounds of etcd', () => {
  const metrics = new Metrics();
  metrics.network.peerRoundTrip.with('b').observe(0.0003);
  const bounds = samples(metrics).flatMap((line) => /le="([^"]+)"/.exec(line)?.[1] ?? []);
  expect(bounds).toEqual([
    ...['0.0001', '0.0002', '0.0004', '0.0008', '0.0016', '0.0032', '0.0064', '0.0128', '0.0256'],
    ...['0.0512', '0.1024', '0.2048', '0.4096', '0.8192', '1.6384', '3.2768', '+Inf'],
  ]);
});
