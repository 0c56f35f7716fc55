import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { SecureContextOptions } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Certificates } from '../../harness/certificates.ts';
import { runCommand } from '../../harness/command.ts';
import { Etcdctl } from '../../harness/etcdctl.ts';
import { missingPeers, requirePeer } from '../../harness/paths.ts';
import { removeTempDir, tempDir } from '../../harness/temp-dir.ts';
import { eventually } from '../../harness/wait.ts';
import { buildImage, missingForContainers } from '../containers.ts';
import { NODE_PEERS, NODE_PROGRAMS, RealNode } from '../real-node.ts';
import { ChartReleases } from './chart-release.ts';
import { MemberStates } from './member-states.ts';
import { type LoadReport, ServiceLoad } from './service-load.ts';
import { clusterReady, runClusterSuite } from './workload.ts';

const missing =
  missingForContainers('buildah', 'debootstrap', ...NODE_PROGRAMS) ??
  missingPeers(...NODE_PEERS, 'helm', 'etcdctl', 'etcdutl');
const WRITERS = 6;
const MAX_MEMBERS = 5;
const DOMAIN = 'etcd.svc.cluster.local';
const WAIT = { timeoutMs: 300_000, everyMs: 500 };

/** The chart on a node with a kubelet, with TLS for clients and members, while clients write without a pause. */
describe.skipIf(missing !== undefined)(`the chart on a real node ${missing ?? ''}`, () => {
  const folder = tempDir('chart');
  const certificates = new Certificates('chart-certificates');
  let node: RealNode;
  let releases: ChartReleases;
  let load: ServiceLoad | undefined;
  let endpoint = '';

  beforeAll(async () => {
    const archive = join(folder, 'keystead.tar');
    const [repository = '', tag = ''] = (
      await buildImage('--archive', archive, '--name', 'localhost/etcd')
    ).split(/\/etcd:/);
    node = await RealNode.start();
    await node.loadImage(archive);
    await node.kubeadmInit({ repository, tag });
    await clusterReady(node);
    releases = new ChartReleases(node, {
      image: { repository: `${repository}/etcd` },
      // There is one node, and it has few processors.
      antiAffinity: 'off',
      resources: { requests: { cpu: '20m', memory: '64Mi' } },
      service: { type: 'NodePort' },
    });
    await releases.prepare();
  });

  afterAll(async () => {
    await load?.stop();
    await node.destroy();
    removeTempDir(folder);
  });

  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail') console.log(await releases.state());
  });

  const tls = (): SecureContextOptions => ({
    ca: readFileSync(certificates.path('ca.crt')),
    cert: readFileSync(certificates.path('client.crt')),
    key: readFileSync(certificates.path('client.key')),
  });
  const ctl = (): Etcdctl => new Etcdctl(endpoint, certificates.flags('client'));

  const TLS = [
    'tls.client.enabled=true,tls.client.secretName=keystead-server,tls.client.jobSecretName=keystead-client',
    'tls.peer.enabled=true,tls.peer.secretName=keystead-peer',
  ];
  const upgrade = (...settings: readonly string[]): Promise<void> =>
    releases.upgrade('keystead', ...settings);

  const started = (): ServiceLoad => {
    if (load === undefined) throw new Error('the load runs since the installation');
    return load;
  };

  /** Does something under the load. No acknowledged put may be lost, and the cluster must be healthy afterwards. */
  async function underLoad(title: string, work: () => Promise<void>): Promise<LoadReport> {
    started().measure();
    const began = performance.now();
    await work();
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    const report = started().measure();
    console.log(`${title}: ${seconds} s, ${JSON.stringify(report)}`);
    expect(await started().faults(started().acknowledged())).toEqual([]);
    await releases.test('keystead');
    return report;
  }

  /** The ordinal of each member by its id, in hexadecimal, as `etcdctl member list` prints it. */
  async function memberIds(): Promise<Record<string, string>> {
    const lines = (await ctl().ok(['member', 'list'])).trim().split('\n');
    return Object.fromEntries(
      lines.map((line) => {
        const [id = '', , name = ''] = line.split(', ');
        return [name, id];
      }),
    );
  }

  async function restarts(): Promise<string> {
    const path = 'jsonpath={.items[*].status.containerStatuses[0].restartCount}';
    return releases.kubectl('get', 'pods', '--selector=app.kubernetes.io/component=member', '-o', path);
  }

  it('three members start, and clients use them through the Service', async () => {
    const members = Array.from(
      { length: MAX_MEMBERS },
      (_, ordinal) => `keystead-${ordinal}.keystead-peers.${DOMAIN}`,
    );
    certificates.issue('server', { hosts: [`keystead.${DOMAIN}`, ...members, node.address] });
    certificates.issue('peer', { hosts: members });
    certificates.issue('client', { commonName: 'client', usage: 'client' });
    for (const name of ['server', 'peer', 'client'])
      await releases.createTlsSecret(`keystead-${name}`, {
        certificate: certificates.path(`${name}.crt`),
        key: certificates.path(`${name}.key`),
        ca: certificates.path('ca.crt'),
      });
    const began = performance.now();
    await upgrade(...TLS);
    console.log(`installed, all members ready: ${((performance.now() - began) / 1000).toFixed(1)} s`);
    expect(await releases.test('keystead')).toContain('Succeeded');
    endpoint = await releases.nodePort('keystead');
    await ctl().ok(['put', 'key', 'value']);
    expect(await ctl().ok(['get', 'key', '--print-value-only'])).toBe('value\n');
    expect(Object.keys(await memberIds()).toSorted()).toEqual(['keystead-0', 'keystead-1', 'keystead-2']);
    // Without a certificate of the authority nobody gets in.
    const stranger = new Etcdctl(endpoint, [`--cacert=${certificates.path('ca.crt')}`]);
    expect(await stranger.run(['get', 'key', '--command-timeout=3s'])).toMatchObject({ code: 1 });
    load = new ServiceLoad({ endpoint, tls }, WRITERS);
  });

  it('a rolling upgrade loses no acknowledged write', async () => {
    await underLoad('rolling upgrade', () => upgrade('podAnnotations.example\\.com/upgrade=one'));
    expect(await restarts()).toBe('0 0 0');
  });

  it.each(['keystead-1', 'keystead-0'])('%s comes back by itself when its volume is wiped', async (name) => {
    const before = await memberIds();
    await underLoad(`wiped volume of ${name}`, async () => {
      await releases.kubectl('delete', 'pvc', `data-${name}`, '--wait=false');
      await releases.kubectl('delete', 'pod', name);
      await eventually(
        'the member with a new id',
        async () => ![undefined, before[name]].includes((await memberIds())[name]),
        WAIT,
      );
      await releases.kubectl('rollout', 'status', 'statefulset/keystead', '--timeout=110s');
    });
    const after = await memberIds();
    expect(Object.keys(after).toSorted()).toEqual(Object.keys(before).toSorted());
    expect(await restarts()).toBe('0 0 0');
  });

  it('scales from three members to five', async () => {
    const states = new MemberStates(endpoint, tls);
    await underLoad('three to five members', () => upgrade('replicas=5'));
    const seen = await states.stop();
    console.log(seen.join(' | '));
    expect(seen.at(-1)).toBe('0 1 2 3 4');
    // Each new member is a learner first.
    for (const state of seen.slice(0, -1)) expect(state).toMatch(/^0 1 2( [34](learner)?)*$/);
    for (const ordinal of [3, 4])
      expect(seen.find((state) => state.includes(String(ordinal)))).toContain(`${ordinal}learner`);
  });

  it('scales from five members to three, highest ordinal first', async () => {
    const states = new MemberStates(endpoint, tls);
    await underLoad('five to three members', () => upgrade('replicas=3'));
    expect(await states.stop()).toEqual(['0 1 2 3 4', '0 1 2 3', '0 1 2']);
    await eventually(
      'the end of two pods',
      async () =>
        (await releases.kubectl('get', 'pods', '--selector=app.kubernetes.io/component=member', '-o', 'name'))
          .trim()
          .split('\n').length === 3,
      WAIT,
    );
  });

  it('a backup is a snapshot that etcdutl accepts, and a new release starts from it', async () => {
    const kept = started().acknowledged();
    // Helm would wait for the volume, which is bound when the first backup uses it.
    await releases.upgradeWithoutWaiting('keystead', 'backup.enabled=true');
    console.log(await releases.runCronJob('keystead-backup', 'backup-now'));
    const volume = await releases.volumeOfClaim('keystead-backup');
    const files = readdirSync(volume).filter((name) => name.endsWith('.db'));
    expect(files).toHaveLength(1);
    const snapshot = join(volume, files[0] ?? '');
    const status = await runCommand(requirePeer('etcdutl'), ['snapshot', 'status', snapshot, '-w', 'json']);
    expect(status).toMatchObject({ code: 0 });
    expect((JSON.parse(status.stdout) as { totalKey: number }).totalKey).toBeGreaterThanOrEqual(kept.size);
    const check = ['snapshot', 'restore', snapshot, '--data-dir', join(folder, 'restored')];
    expect(await runCommand(requirePeer('etcdutl'), check)).toMatchObject({ code: 0 });

    const server = createServer((_, response) => response.end(readFileSync(snapshot)));
    try {
      await once(server.listen(0, node.hostAddress), 'listening');
      const { port } = server.address() as AddressInfo;
      await releases.upgrade('restored', `restore.url=http://${node.hostAddress}:${port}/snapshot.db`);
    } finally {
      server.close();
    }
    const restored = await releases.nodePort('restored-keystead');
    expect(await started().faults(kept, { endpoint: restored })).toEqual([]);
    await releases.test('restored');
  });

  it('the suite for whole clusters passes', async () => {
    await load?.stop();
    expect(await runClusterSuite(node)).toMatch(/4 passed/);
  });
});
