import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Certificates } from '../../harness/certificates.ts';
import { Member } from '../../harness/member.ts';
import { missingPeers } from '../../harness/paths.ts';
import { freePort } from '../../harness/ports.ts';
import { removeTempDir, tempDir } from '../../harness/temp-dir.ts';
import { buildImage, missingForContainers } from '../containers.ts';
import { NODE_PEERS, NODE_PROGRAMS, RealNode } from '../real-node.ts';
import { askByDns, clusterReady, list, runClusterSuite, webServer } from './workload.ts';

const missing =
  missingForContainers('buildah', 'debootstrap', ...NODE_PROGRAMS) ?? missingPeers(...NODE_PEERS);
/** API server, controller manager, scheduler and two of the cluster DNS. */
const SYSTEM_PODS = 5;

describe.skipIf(missing !== undefined)(`kubeadm with Keystead as external etcd ${missing ?? ''}`, () => {
  const folder = tempDir('external');
  const certificates = new Certificates('external-certificates');
  const parts: { node?: RealNode; member?: Member } = {};
  let image = '';

  beforeAll(async () => {
    const archive = join(folder, 'keystead.tar');
    image = await buildImage('--archive', archive, '--name', 'localhost/keystead');
    const node = await RealNode.start();
    parts.node = node;
    await node.loadImage(archive);
    const host = node.hostAddress;
    certificates.issue('server', { hosts: [host] });
    certificates.issue('client', { commonName: 'kube-apiserver', usage: 'client' });
    const clientPort = await freePort();
    const healthUrl = `http://127.0.0.1:${await freePort()}`;
    parts.member = await Member.start({
      kind: 'keystead',
      name: 'external',
      clientPort,
      healthUrl,
      flags: [
        ...[`--listen-client-urls=https://${host}:${clientPort}`, `--listen-metrics-urls=${healthUrl}`],
        `--advertise-client-urls=https://${host}:${clientPort}`,
        ...[
          `--cert-file=${certificates.path('server.crt')}`,
          `--key-file=${certificates.path('server.key')}`,
        ],
        ...['--client-cert-auth', `--trusted-ca-file=${certificates.path('ca.crt')}`],
      ],
    });
    await node.kubeadmInit({
      endpoints: [`https://${host}:${clientPort}`],
      caFile: certificates.path('ca.crt'),
      certFile: certificates.path('client.crt'),
      keyFile: certificates.path('client.key'),
    });
    await clusterReady(node, SYSTEM_PODS);
  });

  afterAll(async () => {
    await parts.node?.destroy();
    await parts.member?.stop('SIGKILL');
    removeTempDir(folder);
  });

  const cluster = (): { node: RealNode; member: Member } => {
    const { node, member } = parts;
    if (node === undefined || member === undefined) throw new Error('the cluster runs');
    return { node, member };
  };

  it('a Deployment, its Service and the cluster DNS work', async () => {
    const { node } = cluster();
    expect(await node.kubectl(['get', 'pods', '-n', 'kube-system'])).not.toContain('etcd-');
    await node.kubectl(['create', '-f', '-'], webServer(image));
    await node.kubectl(['rollout', 'status', 'deployment/web', '--timeout=90s']);
    expect(await askByDns(node, image, 'first-client')).toContain('hello from web-');
  });

  it('the cluster works after a restart of the member', async () => {
    const { node, member } = cluster();
    await member.stop();
    await member.start();
    await clusterReady(node, SYSTEM_PODS);
    const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'after-restart' } };
    await node.kubectl(['create', '-f', '-'], list(map));
    expect(await askByDns(node, image, 'second-client')).toContain('hello from web-');
  });

  it('the suite for whole clusters passes', async () => {
    expect(await runClusterSuite(cluster().node)).toMatch(/4 passed/);
  });
});
