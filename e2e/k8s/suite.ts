import { randomBytes } from 'node:crypto';
import { CoreV1Api, KubernetesObjectApi, type V1ConfigMap } from '@kubernetes/client-node';
import { afterAll, beforeAll, describe } from 'vitest';
import { Member, serverUnderTest } from '../harness/member.ts';
import { missingPeers } from '../harness/paths.ts';
import { ControlPlane } from './control-plane.ts';

/** The store, its apiserver and the clients, for all tests of a suite. */
export interface Cluster {
  readonly store: Member;
  readonly plane: ControlPlane;
  readonly core: CoreV1Api;
  readonly objects: KubernetesObjectApi;
  /** Creates a namespace with a unique name, so that tests cannot see each other's objects. */
  newNamespace(): Promise<string>;
}

export interface SuiteFlags {
  store?: readonly string[];
  apiServer?: readonly string[];
}

/** Describes tests that share one store and one apiserver; skipped, with the reason in the title, without the peers. */
export function kubernetesSuite(title: string, flags: SuiteFlags, tests: (cluster: Cluster) => void): void {
  const missing = missingPeers('kube-apiserver', 'kube-controller-manager', 'kube-scheduler');
  describe.skipIf(missing !== undefined)(`${title} ${missing ?? ''}`, () => {
    const parts: { store?: Member; plane?: ControlPlane } = {};

    beforeAll(async () => {
      parts.store = await Member.start({ kind: serverUnderTest, name: 'store', flags: flags.store ?? [] });
      parts.plane = await ControlPlane.start({
        storeUrl: parts.store.clientUrl,
        flags: flags.apiServer ?? [],
      });
    }, 90_000);

    afterAll(async () => {
      await parts.plane?.destroy();
      await parts.store?.destroy();
    }, 90_000);

    tests({
      get store() {
        return started(parts.store);
      },
      get plane() {
        return started(parts.plane);
      },
      get core() {
        return started(parts.plane).kubeConfig.makeApiClient(CoreV1Api);
      },
      get objects() {
        return KubernetesObjectApi.makeApiClient(started(parts.plane).kubeConfig);
      },
      async newNamespace() {
        const name = `test-${randomBytes(4).toString('hex')}`;
        await this.core.createNamespace({ body: { metadata: { name } } });
        return name;
      },
    });
  });
}

/** A small ConfigMap for tests that only need some object. */
export function configMap(name: string, data: Record<string, string> = { value: 'one' }): V1ConfigMap {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data };
}

/** The HTTP status with which a request of the official client failed; undefined when it did not fail. */
export async function failureStatus(request: Promise<unknown>): Promise<number | undefined> {
  try {
    await request;
    return undefined;
  } catch (error) {
    if (error instanceof Error && 'code' in error && typeof error.code === 'number') return error.code;
    throw error;
  }
}

function started<T>(part: T | undefined): T {
  if (part === undefined) throw new Error('only usable inside tests and hooks');
  return part;
}
