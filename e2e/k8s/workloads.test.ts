import { AppsV1Api, type V1Node, type V1Pod } from '@kubernetes/client-node';
import { beforeAll, expect, it } from 'vitest';
import { eventually } from '../harness/wait.ts';
import { deployment } from './deployment.ts';
import { kubernetesSuite } from './suite.ts';

const patience = { timeoutMs: 60_000, everyMs: 100 };

kubernetesSuite('Workloads with the real controller manager and scheduler', {}, (cluster) => {
  const apps = () => cluster.plane.kubeConfig.makeApiClient(AppsV1Api);
  const podsIn = async (namespace: string) => (await cluster.core.listNamespacedPod({ namespace })).items;

  /** There is no kubelet, so the tests do its work: they set nodes ready and remove deleted pods. */
  const addNode = async (name: string) => {
    await cluster.core.createNode({
      body: { metadata: { name, labels: { 'kubernetes.io/hostname': name } } },
    });
    await eventually(`status of ${name}`, async () => {
      const node = await cluster.core.readNode({ name });
      return cluster.core.replaceNodeStatus({ name, body: { ...node, status: readyStatus() } });
    });
  };
  const endTerminatingPods = async (namespace: string) => {
    for (const { metadata } of (await podsIn(namespace)).filter(
      (pod) => pod.metadata?.deletionTimestamp !== undefined,
    )) {
      await cluster.core
        .deleteNamespacedPod({ name: metadata?.name ?? '', namespace, gracePeriodSeconds: 0 })
        .catch(() => undefined);
    }
  };

  beforeAll(async () => {
    cluster.plane.startControllers();
    await Promise.all(['node-a', 'node-b', 'node-c'].map(addNode));
    await eventually(
      'nodes without taints',
      async () =>
        (await cluster.core.listNode()).items.every(({ spec }) => (spec?.taints ?? []).length === 0),
      patience,
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${cluster.plane.tails()}`);
    });
  });

  it('turns a Deployment into a ReplicaSet and Pods on nodes, scales it, and rolls it over', async () => {
    const namespace = await cluster.newNamespace();
    await apps().createNamespacedDeployment({ namespace, body: deployment('web', 6, 'v1') });
    const placed = await eventually(
      'six placed pods',
      async () => allPlaced(await podsIn(namespace), 6),
      patience,
    );
    expect(new Set(placed.map(({ spec }) => spec?.nodeName))).toEqual(
      new Set(['node-a', 'node-b', 'node-c']),
    );
    const sets = await apps().listNamespacedReplicaSet({ namespace });
    expect(sets.items.map(({ spec }) => spec?.replicas)).toEqual([6]);

    // The controller writes the status at the same time. On a conflict the test reads the object again and retries.
    await eventually('a smaller scale', async () => {
      const scale = await apps().readNamespacedDeploymentScale({ name: 'web', namespace });
      return await apps().replaceNamespacedDeploymentScale({
        name: 'web',
        namespace,
        body: { ...scale, spec: { replicas: 2 } },
      });
    });
    await eventually(
      'two pods',
      async () => {
        await endTerminatingPods(namespace);
        return allPlaced(await podsIn(namespace), 2);
      },
      patience,
    );

    await eventually('another template', async () => {
      const current = await apps().readNamespacedDeployment({ name: 'web', namespace });
      return await apps().replaceNamespacedDeployment({
        name: 'web',
        namespace,
        body: { ...deployment('web', 2, 'v2'), metadata: current.metadata ?? {} },
      });
    });
    await eventually(
      'a second ReplicaSet',
      async () => (await apps().listNamespacedReplicaSet({ namespace })).items.length === 2,
      patience,
    );
  });

  it('garbage collects the objects of a deleted Deployment', async () => {
    const namespace = await cluster.newNamespace();
    await apps().createNamespacedDeployment({ namespace, body: deployment('brief', 3, 'v1') });
    await eventually('three placed pods', async () => allPlaced(await podsIn(namespace), 3), patience);
    await apps().deleteNamespacedDeployment({ name: 'brief', namespace, propagationPolicy: 'Foreground' });
    await eventually(
      'nothing left',
      async () => {
        await endTerminatingPods(namespace);
        const sets = await apps().listNamespacedReplicaSet({ namespace });
        const deployments = await apps().listNamespacedDeployment({ namespace });
        return (await podsIn(namespace)).length + sets.items.length + deployments.items.length === 0;
      },
      patience,
    );
  });

  it('empties and removes a namespace', async () => {
    const namespace = await cluster.newNamespace();
    await eventually(
      'its service account',
      async () => cluster.core.readNamespacedServiceAccount({ name: 'default', namespace }),
      patience,
    );
    await cluster.core.createNamespacedConfigMap({ namespace, body: { metadata: { name: 'content' } } });
    await cluster.core.deleteNamespace({ name: namespace });
    await eventually(
      'the namespace is gone',
      async () =>
        (await cluster.core.listNamespace()).items.every(({ metadata }) => metadata?.name !== namespace),
      patience,
    );
  });
});

function readyStatus(): NonNullable<V1Node['status']> {
  const now = new Date();
  const resources = { cpu: '8', memory: '16Gi', pods: '110' };
  return {
    capacity: resources,
    allocatable: resources,
    conditions: [
      { type: 'Ready', status: 'True', reason: 'Testing', lastHeartbeatTime: now, lastTransitionTime: now },
    ],
  };
}

/** The pods, once there are exactly `count` of them, none of them ending and all of them on a node. */
function allPlaced(pods: V1Pod[], count: number): V1Pod[] | undefined {
  const ready = pods.every(
    ({ metadata, spec }) => metadata?.deletionTimestamp === undefined && spec?.nodeName !== undefined,
  );
  return pods.length === count && ready ? pods : undefined;
}
