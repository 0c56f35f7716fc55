import {
  ApiextensionsV1Api,
  CoordinationV1Api,
  CustomObjectsApi,
  PatchStrategy,
  V1MicroTime,
  setHeaderOptions,
} from '@kubernetes/client-node';
import { expect, it } from 'vitest';
import { eventually } from '../harness/wait.ts';
import { configMap, failureStatus, kubernetesSuite } from './suite.ts';
import { Watcher } from './watcher.ts';

kubernetesSuite('Kubernetes objects', { apiServer: ['--event-ttl=3s'] }, (cluster) => {
  it('boots to ready', async () => {
    console.log(`kube-apiserver ready after ${Math.round(cluster.plane.readyAfterMs)} ms`);
    const { text } = await cluster.plane.rest.get('/readyz?verbose');
    expect(text).toContain('[+]etcd ok');
    expect(text).toContain('[+]etcd-readiness ok');
    const health = await cluster.plane.rest.get('/healthz');
    expect(health).toEqual({ status: 200, text: 'ok' });
  });

  it('creates, reads, replaces and deletes', async () => {
    const namespace = await cluster.newNamespace();
    const created = await cluster.core.createNamespacedConfigMap({ namespace, body: configMap('one') });
    expect(created.metadata?.resourceVersion).toMatch(/^\d+$/);
    expect(
      await failureStatus(cluster.core.createNamespacedConfigMap({ namespace, body: configMap('one') })),
    ).toBe(409);

    const body = { ...created, data: { value: 'two' } };
    const replaced = await cluster.core.replaceNamespacedConfigMap({ name: 'one', namespace, body });
    expect(Number(replaced.metadata?.resourceVersion)).toBeGreaterThan(
      Number(created.metadata?.resourceVersion),
    );
    const stale = cluster.core.replaceNamespacedConfigMap({ name: 'one', namespace, body });
    expect(await failureStatus(stale)).toBe(409);

    const read = await cluster.core.readNamespacedConfigMap({ name: 'one', namespace });
    expect(read.data).toEqual({ value: 'two' });
    await cluster.core.deleteNamespacedConfigMap({ name: 'one', namespace });
    expect(await failureStatus(cluster.core.readNamespacedConfigMap({ name: 'one', namespace }))).toBe(404);
    expect(await failureStatus(cluster.core.deleteNamespacedConfigMap({ name: 'one', namespace }))).toBe(404);
  });

  it('keeps the version if an object is replaced without changes', async () => {
    const namespace = await cluster.newNamespace();
    const created = await cluster.core.createNamespacedConfigMap({ namespace, body: configMap('same') });
    const replaced = await cluster.core.replaceNamespacedConfigMap({
      name: 'same',
      namespace,
      body: created,
    });
    expect(replaced.metadata?.resourceVersion).toBe(created.metadata?.resourceVersion);
  });

  it('patches in all four ways', async () => {
    const namespace = await cluster.newNamespace();
    const one = { name: 'one', namespace };
    await cluster.core.createNamespacedConfigMap({ namespace, body: configMap('one', { a: '1', b: '1' }) });
    const patch = (strategy: PatchStrategy, body: unknown, query = {}) =>
      cluster.core.patchNamespacedConfigMap(
        { ...one, ...query, body },
        setHeaderOptions('Content-Type', strategy),
      );

    const json = await patch(PatchStrategy.JsonPatch, [{ op: 'replace', path: '/data/a', value: '2' }]);
    expect(json.data).toEqual({ a: '2', b: '1' });
    const merged = await patch(PatchStrategy.MergePatch, { data: { b: null, c: '3' } });
    expect(merged.data).toEqual({ a: '2', c: '3' });
    const strategic = await patch(PatchStrategy.StrategicMergePatch, {
      metadata: { labels: { tier: 'test' } },
    });
    expect(strategic.metadata?.labels).toEqual({ tier: 'test' });
    const applied = await patch(
      PatchStrategy.ServerSideApply,
      { apiVersion: 'v1', kind: 'ConfigMap', data: { d: '4' } },
      { fieldManager: 'test' },
    );
    expect(applied.data).toEqual({ a: '2', c: '3', d: '4' });
  });

  it('applies on the server with managers, conflicts and force', async () => {
    const namespace = await cluster.newNamespace();
    const apply = (fieldManager: string, data: Record<string, string>, force = false) =>
      cluster.core.patchNamespacedConfigMap(
        { name: 'shared', namespace, fieldManager, force, body: { ...configMap('shared', data) } },
        setHeaderOptions('Content-Type', PatchStrategy.ServerSideApply),
      );
    await apply('alice', { a: '1', both: 'alice' });
    expect(await failureStatus(apply('bob', { both: 'bob' }))).toBe(409);
    await apply('bob', { b: '1', both: 'bob' }, true);
    const after = await apply('alice', { a: '2' });
    expect(after.data).toEqual({ a: '2', b: '1', both: 'bob' });
    expect(after.metadata?.managedFields?.map(({ manager }) => manager).toSorted()).toEqual(['alice', 'bob']);
  });

  it('keeps an object until its finalizers are gone', async () => {
    const namespace = await cluster.newNamespace();
    const name = 'kept';
    const body = configMap(name);
    await cluster.core.createNamespacedConfigMap({
      namespace,
      body: { ...body, metadata: { name, finalizers: ['keystead.dev/first', 'keystead.dev/second'] } },
    });
    await cluster.core.deleteNamespacedConfigMap({ name, namespace });
    const dying = await cluster.core.readNamespacedConfigMap({ name, namespace });
    expect(dying.metadata?.deletionTimestamp).toBeDefined();

    const release = (finalizers: string[]) =>
      cluster.core.patchNamespacedConfigMap(
        { name, namespace, body: { metadata: { finalizers } } },
        setHeaderOptions('Content-Type', PatchStrategy.MergePatch),
      );
    await release(['keystead.dev/second']);
    await cluster.core.readNamespacedConfigMap({ name, namespace });
    await release([]);
    expect(await failureStatus(cluster.core.readNamespacedConfigMap({ name, namespace }))).toBe(404);
  });

  it('deletes a collection by label', async () => {
    const namespace = await cluster.newNamespace();
    for (const [index, tier] of ['a', 'b', 'a', 'b', 'a'].entries()) {
      const body = { ...configMap(`m${index}`), metadata: { name: `m${index}`, labels: { tier } } };
      await cluster.core.createNamespacedConfigMap({ namespace, body });
    }
    await cluster.core.deleteCollectionNamespacedConfigMap({ namespace, labelSelector: 'tier=a' });
    const left = await cluster.core.listNamespacedConfigMap({ namespace });
    expect(left.items.map(({ metadata }) => metadata?.name)).toEqual(['m1', 'm3']);
  });

  it('serves a custom resource with a status of its own', async () => {
    const namespace = await cluster.newNamespace();
    const extensions = cluster.plane.kubeConfig.makeApiClient(ApiextensionsV1Api);
    const group = 'test.keystead.dev';
    await extensions.createCustomResourceDefinition({
      body: {
        apiVersion: 'apiextensions.k8s.io/v1',
        kind: 'CustomResourceDefinition',
        metadata: { name: `homesteads.${group}` },
        spec: {
          group,
          scope: 'Namespaced',
          names: { plural: 'homesteads', singular: 'homestead', kind: 'Homestead' },
          versions: [
            {
              name: 'v1',
              served: true,
              storage: true,
              subresources: { status: {} },
              schema: { openAPIV3Schema: { type: 'object', x_kubernetes_preserve_unknown_fields: true } },
            },
          ],
        },
      },
    });
    const base = `/apis/${group}/v1/namespaces/${namespace}/homesteads`;
    await eventually(
      'the new resource is served',
      async () => (await cluster.plane.rest.get(base)).status === 200,
    );

    const watcher = await Watcher.start(cluster.plane.kubeConfig, base);
    const apiVersion = `${group}/v1`;
    const made = {
      apiVersion,
      kind: 'Homestead',
      metadata: { name: 'farm', namespace },
      spec: { acres: 160 },
    };
    await eventually('creation', async () => cluster.objects.create(made));
    await cluster.objects.patch(
      { ...made, spec: { acres: 320 } },
      undefined,
      undefined,
      undefined,
      undefined,
      PatchStrategy.MergePatch,
    );
    const custom = cluster.plane.kubeConfig.makeApiClient(CustomObjectsApi);
    const farm = { group, version: 'v1', namespace, plural: 'homesteads', name: 'farm' };
    const current = (await custom.getNamespacedCustomObject(farm)) as typeof made;
    expect(current.spec.acres).toBe(320);
    const body = { ...current, spec: { acres: 0 }, status: { fenced: true } };
    expect(await custom.replaceNamespacedCustomObjectStatus({ ...farm, body })).toMatchObject({
      spec: { acres: 320 },
      status: { fenced: true },
    });
    await cluster.objects.delete(made);
    await watcher.until('its whole life', ({ story }) => story.includes('DELETED farm'));
    watcher.stop();
    expect(watcher.story).toEqual(['ADDED farm', 'MODIFIED farm', 'MODIFIED farm', 'DELETED farm']);

    await extensions.deleteCustomResourceDefinition({ name: `homesteads.${group}` });
    await eventually('the resource is gone', async () => (await cluster.plane.rest.get(base)).status === 404);
  });

  it('renews a Lease under optimistic concurrency', async () => {
    const namespace = await cluster.newNamespace();
    const leases = cluster.plane.kubeConfig.makeApiClient(CoordinationV1Api);
    let lease = await leases.createNamespacedLease({
      namespace,
      body: { metadata: { name: 'leader' }, spec: { holderIdentity: 'a', leaseDurationSeconds: 15 } },
    });
    const first = lease;
    for (let renewal = 0; renewal < 25; renewal += 1) {
      lease = await leases.replaceNamespacedLease({
        name: 'leader',
        namespace,
        body: { ...lease, spec: { ...lease.spec, renewTime: new V1MicroTime(), leaseTransitions: renewal } },
      });
    }
    expect(lease.spec?.leaseTransitions).toBe(24);
    expect(
      await failureStatus(leases.replaceNamespacedLease({ name: 'leader', namespace, body: first })),
    ).toBe(409);
  });

  it('lets Events expire', async () => {
    const namespace = await cluster.newNamespace();
    const watcher = await Watcher.start(cluster.plane.kubeConfig, `/api/v1/namespaces/${namespace}/events`);
    await Promise.all(
      ['one', 'two', 'three'].map((name) =>
        cluster.core.createNamespacedEvent({
          namespace,
          body: {
            metadata: { name },
            involvedObject: { kind: 'Node', name: 'somewhere', namespace },
            reason: 'Testing',
          },
        }),
      ),
    );
    expect((await cluster.core.listNamespacedEvent({ namespace })).items).toHaveLength(3);
    await eventually(
      'no events left',
      async () => (await cluster.core.listNamespacedEvent({ namespace })).items.length === 0,
      { timeoutMs: 20_000, everyMs: 200 },
    );
    await watcher.until('the deletions', ({ story }) => story.length === 6);
    watcher.stop();
    expect(watcher.story.slice(3).toSorted()).toEqual(['DELETED one', 'DELETED three', 'DELETED two']);
  });
});
