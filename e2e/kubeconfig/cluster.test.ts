import { randomBytes } from 'node:crypto';
import { BatchV1Api, CoreV1Api, KubeConfig } from '@kubernetes/client-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../harness/wait.ts';

/*
 * Tests for a whole cluster whose etcd is Keystead, such as one of kind: `npm run e2e:kubeconfig`. They need nodes that
 * run pods.
 */
const path = process.env['KEYSTEAD_KUBECONFIG'];
const missing = path === undefined ? 'skipped: KEYSTEAD_KUBECONFIG is not set' : '';
const IMAGE = process.env['KEYSTEAD_POD_IMAGE'] ?? 'registry.k8s.io/pause:3.10';
const OBJECTS = 500;
const AT_ONCE = 20;

describe.skipIf(path === undefined)(`the cluster of KEYSTEAD_KUBECONFIG ${missing}`, () => {
  const kubeConfig = new KubeConfig();
  const namespace = `keystead-e2e-${randomBytes(4).toString('hex')}`;
  let core: CoreV1Api;

  beforeAll(async () => {
    kubeConfig.loadFromFile(path ?? '');
    core = kubeConfig.makeApiClient(CoreV1Api);
    await core.createNamespace({ body: { metadata: { name: namespace } } });
  });

  afterAll(async () => {
    await core.deleteNamespace({ name: namespace });
  });

  it('is ready, with its etcd', async () => {
    const nodes = await core.listNode();
    const isReady = nodes.items.map(({ status }) =>
      status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True'),
    );
    expect(isReady).not.toContain(false);
    const pods = await core.listNamespacedPod({ namespace: 'kube-system', labelSelector: 'component=etcd' });
    for (const pod of pods.items) expect(pod.spec?.containers[0]?.image).toContain('-keystead.');
  });

  it('stores, lists in pages, and deletes objects', async () => {
    // The API server refuses more requests at once than it can work on.
    for (let first = 0; first < OBJECTS; first += AT_ONCE)
      await Promise.all(
        Array.from({ length: AT_ONCE }, (_, index) => {
          const n = first + index;
          const metadata = { name: `object-${n}`, labels: { test: 'pages' } };
          return core.createNamespacedConfigMap({
            namespace,
            body: { metadata, data: { value: String(n) } },
          });
        }),
      );
    const values: string[] = [];
    let token: string | undefined;
    do {
      const page = await core.listNamespacedConfigMap({
        namespace,
        labelSelector: 'test=pages',
        limit: 70,
        ...(token === undefined ? {} : { _continue: token }),
      });
      values.push(...page.items.map(({ data }) => data?.['value'] ?? ''));
      token = page.metadata?._continue;
    } while (token !== undefined && token !== '');
    expect(new Set(values).size).toBe(OBJECTS);
    await core.deleteCollectionNamespacedConfigMap({ namespace, labelSelector: 'test=pages' });
    const rest = await core.listNamespacedConfigMap({ namespace, labelSelector: 'test=pages' });
    expect(rest.items).toEqual([]);
  });

  it('runs a pod and sees its changes', async () => {
    const security = {
      runAsNonRoot: true,
      runAsUser: 65532,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      seccompProfile: { type: 'RuntimeDefault' },
    };
    const containers = [{ name: 'pause', image: IMAGE, securityContext: security }];
    await core.createNamespacedPod({ namespace, body: { metadata: { name: 'one' }, spec: { containers } } });
    await eventually(
      'the pod runs',
      async () => {
        const { status } = await core.readNamespacedPod({ namespace, name: 'one' });
        return status?.phase === 'Running';
      },
      { timeoutMs: 180_000, everyMs: 500 },
    );
  });

  it('has controllers that work', async () => {
    const batch = kubeConfig.makeApiClient(BatchV1Api);
    const spec = {
      suspend: true,
      template: { spec: { restartPolicy: 'Never', containers: [{ name: 'pause', image: IMAGE }] } },
    };
    await batch.createNamespacedJob({ namespace, body: { metadata: { name: 'one' }, spec } });
    await eventually(
      'the job is suspended by its controller',
      async () => {
        const { status } = await batch.readNamespacedJob({ namespace, name: 'one' });
        return status?.conditions?.some(({ type }) => type === 'Suspended') === true;
      },
      { timeoutMs: 60_000, everyMs: 500 },
    );
  });
});
