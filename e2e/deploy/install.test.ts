import { AppsV1Api, CoreV1Api } from '@kubernetes/client-node';
import { expect, it } from 'vitest';
import { runCommand } from '../harness/command.ts';
import { eventually } from '../harness/wait.ts';
import { kubernetesSuite } from '../k8s/suite.ts';
import { manifestsIn, missingTools, readText, toolPath } from './tools.ts';

/*
 * A real kube-apiserver with its controllers takes what is installed. There is no kubelet, so no pod runs; that is
 * tested on a real node.
 */
kubernetesSuite('installations in a real API server', {}, (cluster) => {
  const restricted = { 'pod-security.kubernetes.io/enforce': 'restricted' };
  const missing = missingTools('helm');

  /** Waits until the controllers have made the pods and claims of three members. */
  const hasThreePods = (namespace: string, selector: string): Promise<void> =>
    eventually(
      `three pods in ${namespace}`,
      async () => {
        const core = cluster.plane.kubeConfig.makeApiClient(CoreV1Api);
        const pods = await core.listNamespacedPod({ namespace, labelSelector: selector });
        const claims = await core.listNamespacedPersistentVolumeClaim({ namespace });
        const ofMembers = claims.items.filter(({ metadata }) => metadata?.name?.startsWith('data-'));
        if (pods.items.length === 3 && ofMembers.length === 3) return true;
        const { items } = await core.listNamespacedEvent({ namespace });
        throw new Error(items.map(({ message }) => message).join('\n'));
      },
      { timeoutMs: 60_000 },
    ).then(() => undefined);

  it('takes the manifests, and lets the pods into a restricted namespace', async () => {
    cluster.plane.startControllers();
    for (const file of ['k8s/cluster.yaml', 'k8s/backup.yaml'])
      for (const manifest of manifestsIn(readText(file))) await cluster.objects.create(manifest);
    await hasThreePods('keystead', 'app.kubernetes.io/instance=keystead');
  });

  it.skipIf(missing !== undefined)(`takes the chart, and an upgrade of it ${missing ?? ''}`, async () => {
    await cluster.core.createNamespace({ body: { metadata: { name: 'etcd', labels: restricted } } });
    const helm = async (...args: readonly string[]): Promise<string> => {
      const path = toolPath('helm') ?? '';
      const result = await runCommand(path, [
        ...args,
        `--kubeconfig=${cluster.plane.kubeConfigPath}`,
        '--namespace=etcd',
      ]);
      expect(result).toMatchObject({ code: 0 });
      return result.stdout;
    };
    const notes = await helm('install', 'keystead', 'helm/keystead');
    expect(notes).toContain('--etcd-servers=http://keystead-0.keystead-peers.etcd.svc.cluster.local:2379,');
    await hasThreePods('etcd', 'app.kubernetes.io/component=member');
    // The job that removes members needs a kubelet.
    await helm('upgrade', 'keystead', 'helm/keystead', '--no-hooks', '--set=replicas=5,backup.enabled=true');
    const apps = cluster.plane.kubeConfig.makeApiClient(AppsV1Api);
    const { spec } = await apps.readNamespacedStatefulSet({ name: 'keystead', namespace: 'etcd' });
    expect(spec?.replicas).toBe(5);
    await helm('uninstall', 'keystead');
    const claims = await cluster.core.listNamespacedPersistentVolumeClaim({ namespace: 'etcd' });
    expect(claims.items.length).toBeGreaterThanOrEqual(3);
  });
});
