import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { documentedFamilies } from '../scripts/metrics-page.ts';
import { TestCluster } from './clusters/test-cluster.ts';
import { metricsOf } from './harness/metrics.ts';
import { tempDir } from './harness/temp-dir.ts';
import { eventually } from './harness/wait.ts';

/** The families of the text format, with their types and the labels of their samples. */
function familiesIn(text: string): Map<string, { type: string; labels: Set<string> }> {
  const found = new Map<string, { type: string; labels: Set<string> }>();
  for (const [, name = '', type = ''] of text.matchAll(/^# TYPE (\w+) (\w+)$/gm))
    found.set(name, { type, labels: new Set() });
  for (const [, sample = '', labels = ''] of text.matchAll(/^(\w+)\{(.*)\} \S+$/gm)) {
    const family = found.get(sample) ?? found.get(sample.replace(/_(bucket|sum|count)$/, ''));
    for (const [, label = ''] of labels.matchAll(/(\w+)="/g)) if (label !== 'le') family?.labels.add(label);
  }
  return found;
}

let cluster: TestCluster;
let found: ReturnType<typeof familiesIn>;

beforeAll(async () => {
  cluster = await TestCluster.create(
    ['keystead', 'keystead', 'keystead'],
    [
      '--metrics=extensive',
      '--keystead-usage-prefixes=/registry/*',
      `--keystead-backup-url=${tempDir('backups')}`,
      '--keystead-backup-interval=1h',
      `--audit-log-path=${join(tempDir('audit'), 'audit.log')}`,
    ],
  );
  const leader = await cluster.leader();
  const [follower] = cluster.members.filter((member) => member !== leader);
  await cluster.ctl(leader).ok(['put', '/registry/pods/a', 'value']);
  await cluster.ctl(leader).ok(['endpoint', 'health']);
  for (const path of ['livez', 'readyz']) await fetch(`${leader.clientUrl}/${path}`);
  // A lost connection, and messages that cannot be sent.
  await follower?.kill();
  found = await eventually('the labels of peers', async () => {
    await cluster.ctl(leader).run(['put', '/registry/pods/a', 'value']);
    const families = familiesIn(await metricsOf(leader));
    const labelled = ['etcd_network_peer_round_trip_time_seconds', 'etcd_network_peer_sent_failures_total'];
    return labelled.every((name) => families.has(name)) ? families : undefined;
  });
});
afterAll(() => cluster.destroy());

it('docs/metrics.md has each metric of a real cluster, with its type and labels', () => {
  const documented = new Map(documentedFamilies().map((family) => [family.name, family]));
  for (const [name, { type, labels }] of found) {
    const { type: pageType, labels: pageLabels } = documented.get(name) ?? {};
    expect({ name, type: pageType, labels: pageLabels?.toSorted() }).toEqual({
      name,
      type,
      labels: [...labels].toSorted(),
    });
  }
});

it('docs/metrics.md has no metric that a real cluster does not have', () => {
  const absent = documentedFamilies().filter(({ name }) => !found.has(name));
  // These appear with a message that is refused, and with a snapshot for a member that lags.
  const rare = /^etcd_network_(peer_received_failures_total|snapshot_)/;
  expect(absent.filter(({ name }) => !rare.test(name))).toEqual([]);
});
