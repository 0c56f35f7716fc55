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
const namespace = 'default';

describe.skipIf(missing !== undefined)(`kube-apiserver on three members ${missing ?? ''}`, () => {
  let cluster: TestCluster;
  let plane: ControlPlane;
  let core: CoreV1Api;

  beforeAll(async () => {
    cluster = await TestCluster.found([serverUnderTest, serverUnderTest, serverUnderTest]);
    const storeUrl = cluster.members.map(({ clientUrl }) => clientUrl).join(',');
    plane = await ControlPlane.start({ storeUrl });
    core = plane.kubeConfig.makeApiClient(CoreV1Api);
  }, 120_000);

  afterAll(async () => {
    await plane.destroy();
    await cluster.destroy();
  }, 60_000);

  it(
    'goes on while each member is killed in turn, loses nothing, and its watches go on',
    { timeout: 240_000 },
    async () => {
      await eventually('the default namespace', () =>
        core.readNamespace({ name: namespace }).then(() => true),
      );
      const watcher = await Watcher.start(plane.kubeConfig, `/api/v1/namespaces/${namespace}/configmaps`, {});
      const acknowledged: string[] = [];
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
          const isDone = await core.createNamespacedConfigMap({ namespace, body }).then(
            () => true,
            () => false,
          );
          longestMs = Math.max(longestMs, performance.now() - startedMs);
          if (isDone) acknowledged.push(name);
          else failed += 1;
        }
      };
      const writers = [write(), write(), write(), write()];
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
      await Promise.all(writers);
      const listed = await core.listNamespacedConfigMap({ namespace });
      const names = new Set(listed.items.map(({ metadata }) => metadata?.name));
      expect(acknowledged.filter((name) => !names.has(name))).toEqual([]);
      await watcher.until(
        'all events',
        ({ story }) => acknowledged.every((name) => story.includes(`ADDED ${name}`)),
        30_000,
      );
      watcher.stop();
      expect(new Set(watcher.story).size).toBe(watcher.story.length);
      await cluster.settled();
      console.log(
        `${acknowledged.length} objects through four kills, ${failed} requests failed, the longest took ${Math.round(longestMs)} ms`,
      );
    },
  );
});
