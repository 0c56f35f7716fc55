import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { AppsV1Api, CoreV1Api } from '@kubernetes/client-node';
import { describe, expect, it } from 'vitest';
import { BackupCommand, listBackups } from '../backup/backup-command.ts';
import { Etcdctl } from '../harness/etcdctl.ts';
import { Member } from '../harness/member.ts';
import { missingPeers } from '../harness/paths.ts';
import { freePort } from '../harness/ports.ts';
import { tempDir } from '../harness/temp-dir.ts';
import { eventually } from '../harness/wait.ts';
import { ControlPlane } from './control-plane.ts';
import { deployment } from './deployment.ts';
import { Watcher } from './watcher.ts';

const missing = missingPeers('etcdctl', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler');
const patience = { timeoutMs: 120_000, everyMs: 200 };
const NAMESPACE = 'default';
/** The controllers stay leaders while the store is replaced, so that the same informers go on. */
const LONG_LEASES = ['--leader-elect-lease-duration=300s', '--leader-elect-renew-deadline=240s'];

describe.skipIf(missing !== undefined)(
  `a store that is restored under running controllers ${missing ?? ''}`,
  () => {
    it('is noticed by the informers: what was deleted since is back and is reconciled', async () => {
      const folder = tempDir('restored-store');
      const backups = join(folder, 'backups');
      const place = new BackupCommand([`--url=${backups}`]);
      const [clientPort, peerPort] = [await freePort(), await freePort()];
      const start = (dataDir: string): Promise<Member> =>
        Member.start({
          kind: 'keystead',
          name: 'store',
          dataDir: join(folder, dataDir),
          clientPort,
          peerPort,
          flags: [
            ...[`--keystead-backup-url=${backups}`, '--keystead-backup-interval=1h'],
            '--keystead-backup-log-interval=500ms',
          ],
        });
      let store = await start('first');
      let plane: ControlPlane | undefined;
      let watcher: Watcher | undefined;
      try {
        plane = await ControlPlane.start({ storeUrl: store.clientUrl });
        plane.startControllers(LONG_LEASES);
        const apps = plane.kubeConfig.makeApiClient(AppsV1Api);
        const core = plane.kubeConfig.makeApiClient(CoreV1Api);
        const podsOf = async (app: string): Promise<string[]> =>
          (await core.listNamespacedPod({ namespace: NAMESPACE, labelSelector: `app=${app}` })).items
            .filter(({ metadata }) => metadata?.deletionTimestamp === undefined)
            .map(({ metadata }) => metadata?.name ?? '')
            .sort();
        const pods = (app: string, count: number): Promise<string[]> =>
          eventually(
            `${count} pods of ${app}`,
            async () => {
              const names = await podsOf(app);
              return names.length === count ? names : undefined;
            },
            patience,
          );
        const names = async (): Promise<(string | undefined)[]> =>
          (await apps.listNamespacedDeployment({ namespace: NAMESPACE })).items.map(
            ({ metadata }) => metadata?.name,
          );
        const revision = async (): Promise<number> => {
          const json = await new Etcdctl(store.endpoint).ok(['endpoint', 'status', '-w=json']);
          return (
            (JSON.parse(json) as { Status: { header: { revision: number } } }[])[0]?.Status.header.revision ??
            0
          );
        };

        await apps.createNamespacedDeployment({ namespace: NAMESPACE, body: deployment('web', 2) });
        const before = await pods('web', 2);
        await eventually(
          'a backup',
          async () => (await listBackups(place)).some(({ state }) => state === 'verified'),
          patience,
        );
        await core.createNamespacedConfigMap({
          namespace: NAMESPACE,
          body: { metadata: { name: 'after-the-backup' } },
        });
        const moment = await revision();

        await apps.deleteNamespacedDeployment({ name: 'web', namespace: NAMESPACE });
        await pods('web', 0);
        await apps.createNamespacedDeployment({ namespace: NAMESPACE, body: deployment('later', 1) });
        await pods('later', 1);
        expect(await names()).toEqual(['later']);
        const last = await revision();
        const { metadata } = await apps.listNamespacedDeployment({ namespace: NAMESPACE });
        watcher = await Watcher.start(plane.kubeConfig, `/apis/apps/v1/namespaces/${NAMESPACE}/deployments`, {
          resourceVersion: metadata?.resourceVersion ?? '',
        });
        await eventually(
          'the log with all of it',
          async () =>
            ((await place.json<{ logs: { toRevision?: number }[] }>('list')).logs.at(-1)?.toRevision ?? 0) >=
            last,
          patience,
        );

        await store.stop();
        const peerUrl = `http://127.0.0.1:${peerPort}`;
        await place.ok(
          ...['restore', `--to-revision=${moment}`, `--data-dir=${join(folder, 'second')}`, '--name=store'],
          ...[`--initial-cluster=store=${peerUrl}`, `--initial-advertise-peer-urls=${peerUrl}`],
        );
        store = await start('second');
        expect(await revision()).toBeGreaterThan(moment + 1_000_000_000 - 1);
        await plane.ready(120_000);

        // The apiserver lists again and ends the watches of its clients, which then list again as well.
        const ended = watcher;
        await eventually('the end of the watch', () => ended.ended, patience);
        await eventually(
          'the Deployment of that time',
          async () => (await names()).join() === 'web',
          patience,
        );
        expect(await pods('web', 2)).toEqual(before);
        await pods('later', 0);
        // Each resource of the apiserver lists again by itself, and answers 429 to its clients until then.
        await eventually(
          'the ReplicaSet of that time, and no other',
          async () => (await apps.listNamespacedReplicaSet({ namespace: NAMESPACE })).items.length === 1,
          patience,
        );

        // The controllers work on what was restored: they replace a pod and follow the scale.
        const [gone = ''] = before;
        await eventually(
          'the deletion of a pod',
          () => core.deleteNamespacedPod({ name: gone, namespace: NAMESPACE, gracePeriodSeconds: 0 }),
          patience,
        );
        await eventually(
          'another pod instead',
          async () => {
            const names = await podsOf('web');
            return names.length === 2 && !names.includes(gone);
          },
          patience,
        );
        await eventually(
          'a larger scale',
          async () => {
            const scale = await apps.readNamespacedDeploymentScale({ name: 'web', namespace: NAMESPACE });
            const body = { ...scale, spec: { replicas: 4 } };
            return await apps.replaceNamespacedDeploymentScale({ name: 'web', namespace: NAMESPACE, body });
          },
          patience,
        );
        await pods('web', 4);
        plane.controllersMustBeAlive();
      } catch (error) {
        throw new Error(`${String(error)}\n${plane?.tails() ?? ''}`, { cause: error });
      } finally {
        watcher?.stop();
        await plane?.destroy();
        await store.destroy();
        rmSync(folder, { recursive: true });
      }
    });
  },
);
