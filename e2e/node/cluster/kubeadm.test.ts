import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { missingPeers, repositoryRoot } from '../../harness/paths.ts';
import { removeTempDir, tempDir } from '../../harness/temp-dir.ts';
import { eventually } from '../../harness/wait.ts';
import { buildImage, missingForContainers } from '../containers.ts';
import { NODE_PEERS, NODE_PROGRAMS, RealNode } from '../real-node.ts';
import { WriteProbe } from './outage.ts';
import { askByDns, clusterReady, list, restartsOfEtcd, webServer } from './workload.ts';

const missing =
  missingForContainers('buildah', 'debootstrap', ...NODE_PROGRAMS) ?? missingPeers(...NODE_PEERS);
const PKI = '/etc/kubernetes/pki/etcd';

describe.skipIf(missing !== undefined)(`kubeadm with Keystead as stacked etcd ${missing ?? ''}`, () => {
  const folder = tempDir('kubeadm');
  let node: RealNode;
  let image = '';

  beforeAll(async () => {
    const archive = join(folder, 'keystead.tar');
    image = await buildImage('--archive', archive, '--name', 'localhost/etcd');
    node = await RealNode.start();
    await node.loadImage(archive);
  });

  afterAll(async () => {
    await node.destroy();
    removeTempDir(folder);
  });

  it.each(['k8s/kubeadm-stacked.yaml', 'k8s/kubeadm-external.yaml'])('kubeadm accepts %s', async (file) => {
    await node.kubeadm(['config', 'validate', '--config', join(repositoryRoot, file)]);
  });

  it('the node becomes ready', async () => {
    const began = performance.now();
    await node.kubeadmInit({ repository: 'localhost', tag: image.replace(/^.*:/, '') });
    await clusterReady(node);
    console.log(
      `node and system pods ready ${Math.round((performance.now() - began) / 1000)} s after kubeadm init`,
    );
  });

  it('a Deployment, its Service and the cluster DNS work', async () => {
    await node.kubectl(['create', '-f', '-'], webServer(image));
    await node.kubectl(['rollout', 'status', 'deployment/web', '--timeout=90s']);
    expect(await askByDns(node, image, 'first-client')).toMatch(/^10\.96\.\d+\.\d+ hello from web-/);
  });

  it('the member takes certificates that kubeadm has renewed', async () => {
    const before = await restartsOfEtcd(node);
    const old = serialOfFile(node, `${PKI}/server.crt`);
    expect(await servedSerial(node)).toBe(old);
    for (const name of ['etcd-server', 'etcd-peer', 'etcd-healthcheck-client', 'apiserver-etcd-client'])
      await node.kubeadm(['certs', 'renew', name]);
    const renewed = serialOfFile(node, `${PKI}/server.crt`);
    expect(renewed).not.toBe(old);
    expect(await servedSerial(node)).toBe(renewed);
    await node.kubectl(['create', '-f', '-'], configMap('after-renewal'));
    expect(await restartsOfEtcd(node)).toBe(before);
  });

  it('a member killed with SIGKILL is started again and has all data', async () => {
    const before = await restartsOfEtcd(node);
    await node.kubectl(['create', '-f', '-'], configMap('probe'));
    const probe = new WriteProbe(node);
    await node.ok('pkill', '-KILL', '-f', 'listen-metrics-urls=http://127.0.0.1:2381');
    await eventually('the restart of the member', async () => (await restartsOfEtcd(node)) === before + 1, {
      timeoutMs: 120_000,
      everyMs: 500,
    });
    await clusterReady(node);
    const { longestMs, acknowledged } = await probe.stop();
    console.log(`longest time without a write: ${longestMs} ms`);
    const number = await node.kubectl(['get', 'configmap', 'probe', '-o', 'jsonpath={.data.number}']);
    expect(Number(number)).toBeGreaterThanOrEqual(acknowledged);
    expect(await askByDns(node, image, 'second-client')).toContain('hello from web-');
  });
});

function configMap(name: string): string {
  return list({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { number: '0' } });
}

function serialOfFile(node: RealNode, path: string): string {
  return new X509Certificate(readFileSync(node.path(path))).serialNumber;
}

/** The serial number of the certificate that the member shows on a new connection. */
function servedSerial(node: RealNode): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(
      {
        host: node.address,
        port: 2379,
        ca: readFileSync(node.path(`${PKI}/ca.crt`)),
        cert: readFileSync(node.path(`${PKI}/healthcheck-client.crt`)),
        key: readFileSync(node.path(`${PKI}/healthcheck-client.key`)),
      },
      () => {
        resolve(socket.getPeerX509Certificate()?.serialNumber ?? '');
        socket.destroy();
      },
    );
    socket.once('error', reject);
  });
}
