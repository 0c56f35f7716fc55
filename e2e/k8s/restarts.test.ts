import { expect, it } from 'vitest';
import { eventually } from '../harness/wait.ts';
import { configMap, kubernetesSuite } from './suite.ts';
import { Watcher } from './watcher.ts';

kubernetesSuite('Restarts', {}, (cluster) => {
  /** Creates an object as soon as the apiserver works again. A create without a response may also have succeeded. */
  const createWhenPossible = (namespace: string, name: string) =>
    eventually(
      `creation of ${name}`,
      async () => {
        const created = await cluster.core
          .createNamespacedConfigMap({ namespace, body: configMap(name) })
          .catch(() => undefined);
        if (created !== undefined) return true;
        return (await cluster.core.readNamespacedConfigMap({ name, namespace })).metadata !== undefined;
      },
      { timeoutMs: 40_000, everyMs: 50 },
    );
  const namesIn = async (namespace: string) =>
    (await cluster.core.listNamespacedConfigMap({ namespace })).items.map(({ metadata }) => metadata?.name);

  it('has all objects after a restart of kube-apiserver', async () => {
    const namespace = await cluster.newNamespace();
    for (const name of ['one', 'two'])
      await cluster.core.createNamespacedConfigMap({ namespace, body: configMap(name) });
    const before = await cluster.core.listNamespacedConfigMap({ namespace });
    await cluster.plane.stopApiServer();
    await cluster.plane.startApiServer();
    console.log(`kube-apiserver ready again after ${Math.round(cluster.plane.readyAfterMs)} ms`);
    const after = await cluster.core.listNamespacedConfigMap({ namespace });
    expect(after.items).toEqual(before.items);
    const watcher = await Watcher.start(
      cluster.plane.kubeConfig,
      `/api/v1/namespaces/${namespace}/configmaps`,
      {
        resourceVersion: after.metadata?.resourceVersion ?? '',
      },
    );
    await cluster.core.createNamespacedConfigMap({ namespace, body: configMap('three') });
    await watcher.until('its event', ({ events }) => events.length > 0);
    watcher.stop();
    expect(watcher.story).toEqual(['ADDED three']);
  });

  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    it(`goes on through a restart of the store by ${signal}, with the same watch`, async () => {
      const namespace = await cluster.newNamespace();
      const { metadata } = await cluster.core.listNamespacedConfigMap({ namespace });
      const watcher = await Watcher.start(
        cluster.plane.kubeConfig,
        `/api/v1/namespaces/${namespace}/configmaps`,
        {
          resourceVersion: metadata?.resourceVersion ?? '',
        },
      );
      await cluster.core.createNamespacedConfigMap({ namespace, body: configMap('one') });

      await cluster.store.stop(signal);
      await eventually(
        'the apiserver not ready',
        async () => (await cluster.plane.rest.get('/readyz/etcd')).status === 500,
      );
      await cluster.store.start();
      const back = performance.now();
      await cluster.plane.ready();
      await createWhenPossible(namespace, 'two');
      console.log(`written again ${Math.round(performance.now() - back)} ms after the store served again`);

      await watcher.until('both events', ({ story }) => story.includes('ADDED two'), 60_000);
      watcher.stop();
      expect(watcher.story).toEqual(['ADDED one', 'ADDED two']);
      expect(await namesIn(namespace)).toEqual(['one', 'two']);
    });
  }

  it('loses no acknowledged write when the store is killed under load', async () => {
    const namespace = await cluster.newNamespace();
    const acknowledged: string[] = [];
    let writing = true;
    const writer = async (label: string) => {
      for (let index = 0; writing; index += 1) {
        const name = `${label}-${index}`;
        const response = await cluster.plane.rest
          .post(`/api/v1/namespaces/${namespace}/configmaps`, configMap(name))
          .catch(() => undefined);
        if (response?.status === 201) acknowledged.push(name);
      }
    };
    const writers = Promise.all(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map(writer));
    await eventually('a hundred writes', () => acknowledged.length >= 100);
    await cluster.store.kill();
    await cluster.store.start();
    const afterRestart = acknowledged.length;
    await eventually('writes go on', () => acknowledged.length >= afterRestart + 50, { timeoutMs: 40_000 });
    writing = false;
    await writers;
    const kept = new Set(await namesIn(namespace));
    expect(acknowledged.filter((name) => !kept.has(name))).toEqual([]);
  });
});
