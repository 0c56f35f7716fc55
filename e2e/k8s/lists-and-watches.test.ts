import { expect, it } from 'vitest';
import { configMap, failureStatus, kubernetesSuite, type Cluster } from './suite.ts';
import { Watcher } from './watcher.ts';

// With its watch cache kube-apiserver answers many reads itself; without it every read reaches the store.
kubernetesSuite('Lists and watches through the watch cache', {}, listsAndWatches);
kubernetesSuite(
  'Lists and watches without the watch cache',
  { apiServer: ['--watch-cache=false'] },
  listsAndWatches,
);

function listsAndWatches(cluster: Cluster): void {
  const create = (namespace: string, ...names: string[]) =>
    Promise.all(
      names.map((name) => cluster.core.createNamespacedConfigMap({ namespace, body: configMap(name) })),
    );

  it('pages through a list with continue and remainingItemCount', async () => {
    const namespace = await cluster.newNamespace();
    const names = Array.from({ length: 23 }, (_, index) => `m${String(index).padStart(2, '0')}`);
    await create(namespace, ...names);
    const seen: (string | undefined)[] = [];
    const remaining: (number | undefined)[] = [];
    const versions = new Set<string | undefined>();
    let next: string | undefined;
    do {
      const page = await cluster.core.listNamespacedConfigMap({
        namespace,
        limit: 10,
        ...(next === undefined ? {} : { _continue: next }),
      });
      seen.push(...page.items.map(({ metadata }) => metadata?.name));
      remaining.push(page.metadata?.remainingItemCount);
      versions.add(page.metadata?.resourceVersion);
      next = page.metadata?._continue;
      // It is written between two pages, so no page contains it: all pages have the same revision.
      if (seen.length === 10) await create(namespace, 'm10-and-a-half');
    } while (next !== undefined && next !== '');
    expect(seen).toEqual(names);
    expect(remaining).toEqual([13, 3, undefined]);
    expect(versions.size).toBe(1);
  });

  it('lists at an exact resource version of the past', async () => {
    const namespace = await cluster.newNamespace();
    await create(namespace, 'early');
    const { metadata } = await cluster.core.listNamespacedConfigMap({ namespace });
    const resourceVersion = metadata?.resourceVersion ?? '';
    await create(namespace, 'late');
    await cluster.core.deleteNamespacedConfigMap({ name: 'early', namespace });
    const past = await cluster.core.listNamespacedConfigMap({
      namespace,
      resourceVersion,
      resourceVersionMatch: 'Exact',
    });
    expect(past.items.map((item) => item.metadata?.name)).toEqual(['early']);
    const atLeast = await cluster.core.listNamespacedConfigMap({
      namespace,
      resourceVersion,
      resourceVersionMatch: 'NotOlderThan',
    });
    expect(Number(atLeast.metadata?.resourceVersion)).toBeGreaterThanOrEqual(Number(resourceVersion));
    const now = await cluster.core.listNamespacedConfigMap({ namespace });
    expect(now.items.map((item) => item.metadata?.name)).toEqual(['late']);
  });

  it('answers 504 or 410 for a version of the future', async () => {
    const namespace = await cluster.newNamespace();
    const future = cluster.core.listNamespacedConfigMap({
      namespace,
      resourceVersion: '100000000',
      resourceVersionMatch: 'Exact',
    });
    expect([410, 500, 504]).toContain(await failureStatus(future));
  });

  it('watches from a resource version, across changes of every kind', async () => {
    const namespace = await cluster.newNamespace();
    const path = `/api/v1/namespaces/${namespace}/configmaps`;
    const [before] = await create(namespace, 'before');
    const { metadata } = await cluster.core.listNamespacedConfigMap({ namespace });
    await create(namespace, 'one');
    const watcher = await Watcher.start(cluster.plane.kubeConfig, path, {
      resourceVersion: metadata?.resourceVersion ?? '',
    });
    await create(namespace, 'two');
    await cluster.core.replaceNamespacedConfigMap({
      name: 'before',
      namespace,
      body: { ...before, data: { value: 'two' } },
    });
    await cluster.core.deleteNamespacedConfigMap({ name: 'one', namespace });
    await watcher.until('four events', ({ events }) => events.length >= 4);
    watcher.stop();
    expect(watcher.story).toEqual(['ADDED one', 'ADDED two', 'MODIFIED before', 'DELETED one']);
    const versions = watcher.events.map(({ object }) => Number(object.metadata.resourceVersion));
    expect(versions).toEqual(versions.toSorted((a, b) => a - b));
  });

  it('applies a selector, also when an object starts or stops to match', async () => {
    const namespace = await cluster.newNamespace();
    const path = `/api/v1/namespaces/${namespace}/configmaps`;
    const { metadata } = await cluster.core.listNamespacedConfigMap({ namespace });
    const watcher = await Watcher.start(cluster.plane.kubeConfig, path, {
      labelSelector: 'tier=web',
      resourceVersion: metadata?.resourceVersion ?? '',
    });
    const [made] = await create(namespace, 'changing');
    let current = made;
    for (const tier of ['web', 'db', 'web']) {
      current = await cluster.core.replaceNamespacedConfigMap({
        name: 'changing',
        namespace,
        body: { ...current, metadata: { ...current?.metadata, labels: { tier } } },
      });
    }
    await watcher.until('three events', ({ events }) => events.length >= 3);
    watcher.stop();
    expect(watcher.story).toEqual(['ADDED changing', 'DELETED changing', 'ADDED changing']);
  });

  it('gives fifty watchers every event in order', async () => {
    const namespace = await cluster.newNamespace();
    const path = `/api/v1/namespaces/${namespace}/configmaps`;
    const { metadata } = await cluster.core.listNamespacedConfigMap({ namespace });
    const resourceVersion = metadata?.resourceVersion ?? '';
    const watchers = await Promise.all(
      Array.from({ length: 50 }, () => Watcher.start(cluster.plane.kubeConfig, path, { resourceVersion })),
    );
    const names = Array.from({ length: 20 }, (_, index) => `m${index}`);
    for (const name of names) await create(namespace, name);
    const expected = names.map((name) => `ADDED ${name}`);
    for (const watcher of watchers) {
      await watcher.until('all events', ({ events }) => events.length >= names.length);
      watcher.stop();
      expect(watcher.story).toEqual(expected);
    }
  });
}

kubernetesSuite('Bookmarks', { store: ['--watch-progress-notify-interval=1s'] }, (cluster) => {
  it('ends the initial events of a streamed list with a bookmark', async () => {
    const namespace = await cluster.newNamespace();
    for (const name of ['one', 'two'])
      await cluster.core.createNamespacedConfigMap({ namespace, body: configMap(name) });
    const watcher = await Watcher.start(
      cluster.plane.kubeConfig,
      `/api/v1/namespaces/${namespace}/configmaps`,
      {
        sendInitialEvents: true,
        allowWatchBookmarks: true,
        resourceVersionMatch: 'NotOlderThan',
      },
    );
    await watcher.until('a bookmark', ({ events }) => events.some(({ type }) => type === 'BOOKMARK'));
    watcher.stop();
    expect(watcher.story).toEqual(['ADDED one', 'ADDED two']);
    expect(watcher.events.at(-1)?.object.metadata.annotations).toEqual({
      'k8s.io/initial-events-end': 'true',
    });
  });

  it('sends a bookmark before a watch times out, newer than its last event', async () => {
    const namespace = await cluster.newNamespace();
    await cluster.core.createNamespacedConfigMap({ namespace, body: configMap('one') });
    const { metadata } = await cluster.core.listNamespacedConfigMap({ namespace });
    const watcher = await Watcher.start(
      cluster.plane.kubeConfig,
      `/api/v1/namespaces/${namespace}/configmaps`,
      {
        resourceVersion: metadata?.resourceVersion ?? '',
        allowWatchBookmarks: true,
        timeoutSeconds: 6,
      },
    );
    // A change of another object. The apiserver learns only by progress notifications that this watch is past it.
    const elsewhere = await cluster.core.readNamespace({ name: await cluster.newNamespace() });
    await watcher.until('the end', ({ ended }) => ended);
    expect(watcher.story).toEqual([]);
    const bookmark = watcher.events.findLast(({ type }) => type === 'BOOKMARK');
    const reached = Number(bookmark?.object.metadata.resourceVersion);
    expect(reached).toBeGreaterThanOrEqual(Number(elsewhere.metadata?.resourceVersion));
  });
});
