/**
 * The ways of a newcomer, by the commands of docs/install.md alone: from a clone to a kubeadm cluster on Keystead, and from
 * a running etcd to Keystead and back. The times are printed. What a machine without a registry needs differs from the
 * docs: the bases of the image are built, and kubeadm's other images have local names.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { runCommand } from '../../harness/command.ts';
import { missingPeers, repositoryRoot, requirePeer } from '../../harness/paths.ts';
import { removeTempDir, tempDir } from '../../harness/temp-dir.ts';
import { missingForContainers } from '../containers.ts';
import type { EtcdImage } from '../node-config.ts';
import { NODE_PEERS, NODE_PROGRAMS, RealNode } from '../real-node.ts';
import { allObjects } from './objects.ts';
import { askByDns, clusterReady, webServer } from './workload.ts';

const missing =
  missingForContainers('git', 'buildah', 'debootstrap', 'curl', ...NODE_PROGRAMS) ??
  missingPeers(...NODE_PEERS, 'etcd', 'etcdutl');
const ETCD_VERSION = '3.7.1';
const MINUTES_MS = 60_000;

/** The commands of a section of docs/install.md, one per line, without `sudo`. */
function commandsOf(heading: string): string[] {
  const text = readFileSync(join(repositoryRoot, 'docs/install.md'), 'utf8');
  const start = text.indexOf(`\n${heading}\n`);
  expect(start, `docs/install.md has the section ${heading}`).toBeGreaterThan(0);
  const level = /^#+/.exec(heading)?.[0] ?? '';
  const rest = text.slice(start + heading.length + 1);
  const end = rest.search(new RegExp(`\\n#{1,${level.length}} `));
  const section = end < 0 ? rest : rest.slice(0, end);
  return [...section.matchAll(/```sh\n([^`]*)```/g)]
    .flatMap(([, lines = '']) => lines.trim().split('\n'))
    .map((line) => line.replace(/^sudo /, ''));
}

describe.skipIf(missing !== undefined)(`a newcomer ${missing ?? ''}`, () => {
  const folder = tempDir('newcomer');
  const clone = join(folder, 'keystead');
  const [buildCommand = '', importCommand = '', toKeystead = '', toEtcd = ''] = [
    ...commandsOf('## kubeadm').filter((line) => /build-image|images import/.test(line)),
    ...commandsOf('### Replace the etcd of a running cluster').filter((line) => line.includes('swap.sh')),
  ];
  let buildSeconds = 0;
  let image = '';
  let node: RealNode | undefined;

  async function onHost(command: string): Promise<string> {
    const result = await runCommand('bash', ['-c', command], { cwd: clone, timeoutMs: 20 * MINUTES_MS });
    expect(result.code, result.stdout + result.stderr).toBe(0);
    return result.stdout.trim();
  }

  function onNode(at: RealNode, command: string): Promise<string> {
    return at.ok('env', ...at.containerdEnvironment, 'bash', '-c', `cd ${clone} && ${command} 2>&1`);
  }

  /** The repository and tag that the kubeadm configuration in the clone names. */
  function configuredImage(): EtcdImage {
    const { etcd } = parse(readFileSync(join(clone, 'k8s/kubeadm-stacked.yaml'), 'utf8')) as {
      etcd: { local: { imageRepository: string; imageTag: string } };
    };
    return { repository: etcd.local.imageRepository, tag: etcd.local.imageTag };
  }

  beforeAll(async () => {
    const began = performance.now();
    const cloned = await runCommand('git', ['clone', '--quiet', repositoryRoot, clone], {
      timeoutMs: MINUTES_MS,
    });
    expect(cloned.code, cloned.stderr).toBe(0);
    image = await onHost(`${buildCommand} --stand-in 2>/dev/null`);
    buildSeconds = seconds(began);
  }, 25 * MINUTES_MS);

  afterAll(async () => {
    await node?.destroy();
    removeTempDir(folder);
  });

  it('comes from a clone to a kubeadm cluster on Keystead', async () => {
    node = await RealNode.start();
    const began = performance.now();
    await onNode(node, importCommand);
    const configured = configuredImage();
    expect(`${configured.repository}/etcd:${configured.tag}`).toBe(image);
    await node.kubeadmInit(configured);
    await clusterReady(node);
    const path = 'jsonpath={.spec.containers[0].image}';
    expect(await node.kubectl(['get', 'pod', '-n', 'kube-system', 'etcd-node1', '-o', path])).toBe(image);
    console.log(`clone and image ${buildSeconds} s, import and kubeadm init ${seconds(began)} s`);
    await node.destroy();
    node = undefined;
  });

  it('comes from a running etcd to Keystead and back', async () => {
    node = await RealNode.start();
    const programs = [requirePeer('etcd'), requirePeer('etcdutl')];
    await node.loadPrograms(`localhost/etcd:${ETCD_VERSION}`, programs);
    await node.kubeadmInit({ repository: 'localhost', tag: ETCD_VERSION });
    await clusterReady(node);
    const before = await allObjects(node);
    const began = performance.now();
    await onNode(node, importCommand);
    await node.kubectl(['create', '-f', '-'], webServer(image));
    await node.kubectl(['rollout', 'status', 'deployment/web', '--timeout=90s']);
    await onNode(node, toKeystead);
    await clusterReady(node);
    const toKeysteadSeconds = seconds(began);
    expect(await askByDns(node, image, 'client-of-keystead')).toContain('hello from web-');
    const back = performance.now();
    await onNode(node, toEtcd);
    await clusterReady(node);
    const after = await allObjects(node);
    for (const [name, contents] of before) expect(after.get(name), name).toBe(contents);
    expect(await askByDns(node, image, 'client-of-etcd')).toContain('hello from web-');
    console.log(`import and to Keystead ${toKeysteadSeconds} s, back to etcd ${seconds(back)} s`);
  });
});

function seconds(since: number): number {
  return Math.round((performance.now() - since) / 1000);
}
