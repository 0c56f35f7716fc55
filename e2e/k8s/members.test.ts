import { setTimeout as sleep } from 'node:timers/promises';
import { CoreV1Api } from '@kubernetes/client-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestCluster } from '../clusters/test-cluster.ts';
import { serverUnderTest } from '../harness/member.ts';
import { missingPeers } from '../harness/paths.ts';
import { eventually } from '../harness/wait.ts';
import { ControlPlane } from './control-plane.ts';
import { configMap } from './suite.ts';
import { Watcher } from './watcher.ts';

const missing = missingPeers('kube-apiserver', 'etcdctl');
const NAMESPACE = 'default';

describe.skipIf(missing !== undefined)(`kube-apiserver on three members ${missing ?? ''}`, () => {
  let cluster: TestCluster;
  let plane: ControlPlane;
  let core: CoreV1Api;

  beforeAll(async () => {
    cluster = await TestCluster.create([serverUnderTest, serverUnderTest, serverUnderTest]);
    const storeUrl = cluster.members.map(({ clientUrl }) => clientUrl).join(',');
    plane = await ControlPlane.start({ storeUrl });
    core = plane.kubeConfig.makeApiClient(CoreV1Api);
  });

  afterAll(async () => {
    await plane.destroy();
    await cluster.destroy();
  });

  it('goes on while each member is killed in turn, loses nothing, and its watches go on', async () => {
    await eventually('the default namespace', () => core.readNamespace({ name: NAMESPACE }).then(() => true));
    const watcher = await Watcher.start(plane.kubeConfig, `/api/v1/namespaces/${NAMESPACE}/configmaps`, {});
    const acknowledged: string[] = [];
    const updated: string[] = [];
    let writing = true;
    let made = 0;
    let failed = 0;
    let longestMs = 0;
    const write = async (): Promise<void> => {
      while (writing) {
        made += 1;
        const name = `object-${made}`;
        const startedMs = performance.now();
        const body = configMap(name);
        const isDone = await core.createNamespacedConfigMap({ namespace: NAMESPACE, body }).then(
          () => true,
          () => false,
        );
        longestMs = Math.max(longestMs, performance.now() - startedMs);
        if (isDone) acknowledged.push(name);
        else failed += 1;
        if (!isDone) continue;
        const isUpdated = await core
          .replaceNamespacedConfigMap({
            name,
            namespace: NAMESPACE,
            body: configMap(name, { value: 'two' }),
          })
          .then(
            () => true,
            () => false,
          );
        if (isUpdated) updated.push(name);
        else failed += 1;
      }
    };
    let lists = 0;
    const missed: string[] = [];
    const list = async (): Promise<void> => {
      while (writing) {
        const expected = [...acknowledged];
        const listed = await core.listNamespacedConfigMap({ namespace: NAMESPACE }).catch(() => undefined);
        if (listed === undefined) continue;
        lists += 1;
        const names = new Set(listed.items.map(({ metadata }) => metadata?.name));
        missed.push(...expected.filter((name) => !names.has(name)));
        await sleep(100);
      }
    };
    const workers = [write(), write(), write(), write(), list()];
    for (const member of [...cluster.members]) {
      const before = acknowledged.length;
      await member.kill();
      await eventually('writes with a member less', () => acknowledged.length > before + 20, {
        timeoutMs: 30_000,
      });
      await member.start();
      const after = acknowledged.length;
      await eventually('writes with all members', () => acknowledged.length > after + 20, {
        timeoutMs: 30_000,
      });
    }
    // And once more the one that leads now.
    const leader = await cluster.leader();
    await leader.kill();
    const before = acknowledged.length;
    await eventually('writes without the leader', () => acknowledged.length > before + 20, {
      timeoutMs: 30_000,
    });
    await leader.start();
    writing = false;
    await Promise.all(workers);
    const listed = await core.listNamespacedConfigMap({ namespace: NAMESPACE });
    const values = new Map(listed.items.map(({ metadata, data }) => [metadata?.name, data?.['value']]));
    expect(missed).toEqual([]);
    expect(acknowledged.filter((name) => !values.has(name))).toEqual([]);
    expect(updated.filter((name) => values.get(name) !== 'two')).toEqual([]);
    await watcher.until(
      'all events',
      ({ story }) => {
        const seen = new Set(story);
        return (
          acknowledged.every((name) => seen.has(`ADDED ${name}`)) &&
          updated.every((name) => seen.has(`MODIFIED ${name}`))
        );
      },
      30_000,
    );
    watcher.stop();
    expect(new Set(watcher.story).size).toBe(watcher.story.length);
    await cluster.settled();
    console.log(
      `${acknowledged.length} objects made and ${updated.length} changed through four kills, ${lists} lists, ${failed} requests failed, the longest took ${Math.round(longestMs)} ms`,
    );
  });
});
