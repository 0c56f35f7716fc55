import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { missingPeers, repositoryRoot, requirePeer } from '../../harness/paths.ts';
import { removeTempDir, tempDir } from '../../harness/temp-dir.ts';
import { eventually } from '../../harness/wait.ts';
import { buildImage, missingForContainers } from '../containers.ts';
import { NODE_PEERS, NODE_PROGRAMS, RealNode } from '../real-node.ts';
import { allObjects } from './objects.ts';
import { WriteProbe } from './outage.ts';
import { askByDns, clusterReady, list, webServer } from './workload.ts';

const PKI = '/etc/kubernetes/pki/etcd';

const missing =
  missingForContainers('buildah', 'debootstrap', 'curl', ...NODE_PROGRAMS) ??
  missingPeers(...NODE_PEERS, 'etcd', 'etcdutl');
const ETCD_VERSION = '3.7.1';
const CONFIG_MAPS = 200;

describe.skipIf(missing !== undefined)(`kubeadm-swap.sh ${missing ?? ''}`, () => {
  const folder = tempDir('swap');
  let node: RealNode;
  let image = '';

  beforeAll(async () => {
    const archive = join(folder, 'keystead.tar');
    image = await buildImage('--archive', archive, '--name', 'localhost/keystead/etcd');
    node = await RealNode.start();
    await node.loadImage(archive);
    const programs = [requirePeer('etcd'), requirePeer('etcdutl')];
    await node.loadPrograms(`localhost/etcd:${ETCD_VERSION}`, programs);
    await node.kubeadmInit({ repository: 'localhost', tag: ETCD_VERSION });
    await clusterReady(node);
    await node.kubectl(['create', '-f', '-'], webServer(image));
    await node.kubectl(['rollout', 'status', 'deployment/web', '--timeout=90s']);
    const maps = Array.from({ length: CONFIG_MAPS }, (_, index) => configMap(`map-${index}`));
    await node.kubectl(['create', '-f', '-'], list(configMap('probe'), ...maps));
  });

  afterAll(async () => {
    await node.destroy();
    removeTempDir(folder);
  });

  function swap(...args: readonly string[]): Promise<string> {
    const script = join(repositoryRoot, 'scripts/kubeadm-swap.sh');
    const command = 'bash "$0" "$@" 2>&1';
    return node.ok('env', ...node.containerdEnvironment, 'bash', '-c', command, script, ...args);
  }

  /** The kubelet replaces the mirror of a static pod some time after the pod. */
  async function memberRuns(expected: string): Promise<void> {
    const path = 'jsonpath={.spec.containers[0].image}';
    await eventually(
      `a member of ${expected}`,
      async () =>
        (await node.kubectl(['get', 'pod', '-n', 'kube-system', 'etcd-node1', '-o', path])) === expected,
      { timeoutMs: 90_000, everyMs: 500 },
    );
  }

  /** Runs a swap under writes. Afterwards all objects must be the same, and no acknowledged write may be lost. */
  async function swapUnderWrites(title: string, run: () => Promise<unknown>): Promise<void> {
    const before = await allObjects(node);
    const probe = new WriteProbe(node);
    const began = performance.now();
    const output = await run();
    if (typeof output === 'string') console.log(output);
    const tookMs = Math.round(performance.now() - began);
    await clusterReady(node);
    const { longestMs, acknowledged } = await probe.stop();
    console.log(`${title}: took ${tookMs} ms, longest time without a write ${longestMs} ms`);
    const number = await node.kubectl(['get', 'configmap', 'probe', '-o', 'jsonpath={.data.number}']);
    expect(Number(number)).toBeGreaterThanOrEqual(acknowledged);
    expect(await allObjects(node)).toEqual(before);
  }

  it('a swap that fails after etcd has stopped starts etcd again', async () => {
    await swapUnderWrites('failed swap', () =>
      expect(swap('to-keystead', '--skip-check', '--image', `localhost/pause:1`)).rejects.toThrow(
        'the cluster runs as before',
      ),
    );
    await memberRuns(`localhost/etcd:${ETCD_VERSION}`);
  });

  /** Asks the JSON API of the member. */
  function cluster(path: string, body: object): Promise<string> {
    const client = `${PKI}/healthcheck-client`;
    const tls = ['--cacert', `${PKI}/ca.crt`, '--cert', `${client}.crt`, '--key', `${client}.key`];
    const url = `https://127.0.0.1:2379/v3/cluster/${path}`;
    return node.ok('curl', '--fail', '--silent', '--show-error', ...tls, '--data', JSON.stringify(body), url);
  }

  /** The idle containers that run on the node, as containerd knows them. */
  async function idleContainers(): Promise<string[]> {
    const ctr = ['env', ...node.containerdEnvironment, 'ctr', '--namespace', 'k8s.io'];
    const filter = 'labels."io.kubernetes.container.name"==idle';
    const ids = lines(await node.ok(...ctr, 'containers', 'list', '--quiet', filter));
    const tasks = lines(await node.ok(...ctr, 'tasks', 'list'));
    return ids.filter((id) => tasks.some((task) => task.startsWith(id) && task.includes('RUNNING')));
  }

  async function podsOfWeb(): Promise<string[]> {
    return lines(await node.kubectl(['get', 'pods', '--selector', 'app=web', '-o', 'name']));
  }

  async function scaleWeb(replicas: number): Promise<void> {
    await node.kubectl(['scale', 'deployment/web', `--replicas=${replicas}`]);
    await node.kubectl(['rollout', 'status', 'deployment/web', '--timeout=90s']);
    await eventually(
      `${replicas} pods of the Deployment`,
      async () => (await podsOfWeb()).length === replicas,
      { timeoutMs: 90_000, everyMs: 500 },
    );
  }

  // Its store has a raised revision afterwards, which the next tests swap as well.
  it('a rollback brings back the objects from before the swap, and every client notices', async () => {
    const before = await allObjects(node);
    await swap('to-keystead', '--image', image);
    await memberRuns(image);
    await clusterReady(node);
    // The controllers, the scheduler, the kubelet, the proxy and the DNS all learn something that is undone.
    await node.kubectl(['create', '-f', '-'], list(configMap('undone'), idleDeployment('undone')));
    await node.kubectl(['rollout', 'status', 'deployment/undone', '--timeout=90s']);
    await node.kubectl(['delete', 'service', 'web']);
    await node.kubectl(['delete', 'configmap', 'map-0']);
    await scaleWeb(1);
    expect(await idleContainers()).toHaveLength(1);

    const began = performance.now();
    console.log(await swap('rollback'));
    console.log(`rollback: took ${Math.round(performance.now() - began)} ms`);
    await memberRuns(`localhost/etcd:${ETCD_VERSION}`);
    await clusterReady(node);
    expect(await allObjects(node)).toEqual(before);
    await eventually('the end of the undone pod', async () => (await idleContainers()).length === 0, {
      timeoutMs: 90_000,
      everyMs: 500,
    });
    await node.kubectl(['rollout', 'status', 'deployment/web', '--timeout=90s']);
    expect(await askByDns(node, image, 'client-after-rollback')).toContain('hello from web-');
    await scaleWeb(3);
    await scaleWeb(2);
    await node.kubectl(['delete', 'pod', 'client-after-rollback']);
    const kinds = 'configmaps,deployments,replicasets,pods,endpointslices';
    expect(await node.kubectl(['get', kinds, '-o', 'name'])).not.toMatch(/undone|client-after/);
  });

  it('etcd is replaced by Keystead with all objects equal', async () => {
    await swapUnderWrites('etcd to Keystead', () => swap('to-keystead', '--image', image));
    await memberRuns(image);
    expect(await askByDns(node, image, 'client-of-keystead')).toContain('hello from web-');
  });

  it('a cluster with several members is left as it is', async () => {
    const added = await cluster('member/add', { peerURLs: ['https://127.0.0.1:9'], isLearner: true });
    const { member } = JSON.parse(added) as { member: { ID: string } };
    for (const way of ['to-etcd', 'rollback'])
      await expect(swap(way)).rejects.toThrow('the cluster has several members');
    await cluster('member/remove', { ID: member.ID });
    await memberRuns(image);
  });

  it('Keystead is replaced by etcd with all objects equal', async () => {
    await node.kubectl(['create', '-f', '-'], list(configMap('written-to-keystead')));
    await swapUnderWrites('Keystead to etcd', () => swap('to-etcd'));
    await memberRuns(`localhost/etcd:${ETCD_VERSION}`);
    await node.kubectl(['get', 'configmap', 'written-to-keystead']);
    expect(await askByDns(node, image, 'client-of-etcd')).toContain('hello from web-');
  });
});

function lines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}

/** One pod that does nothing. */
function idleDeployment(name: string): object {
  const labels = { app: name };
  const spec = {
    terminationGracePeriodSeconds: 1,
    containers: [{ name: 'idle', image: 'localhost/pause:1' }],
  };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec } },
  };
}

function configMap(name: string): object {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { number: '0' } };
}
