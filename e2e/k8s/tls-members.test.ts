import { readFileSync } from 'node:fs';
import { connect } from 'node:tls';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiextensionsV1Api, CoreV1Api, CustomObjectsApi } from '@kubernetes/client-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { MadeCertificate } from '../../src/tls/certificate.ts';
import { Certificates, serialOf } from '../harness/certificates.ts';
import { Etcdctl } from '../harness/etcdctl.ts';
import { missingPeers } from '../harness/paths.ts';
import { foundSecureCluster, type SecureMember } from '../harness/secure-member.ts';
import { eventually } from '../harness/wait.ts';
import { ControlPlane } from './control-plane.ts';
import { configMap } from './suite.ts';
import { Watcher } from './watcher.ts';

const missing = missingPeers('kube-apiserver', 'etcdctl');
const NAMESPACE = 'default';
const ADDRESS = '127.0.0.1';

/** All leaves of one generation of certificates. */
interface Generation {
  readonly server: MadeCertificate;
  readonly peer: MadeCertificate;
  readonly apiServer: MadeCertificate;
}

const files = new Certificates('k8s-tls');

/** Issues every certificate anew, in place of the one before. */
function issueAll(): Generation {
  const server = files.issue('server', { hosts: ['localhost', ADDRESS] });
  const peer = files.issue('peer', { commonName: 'member', hosts: [ADDRESS] });
  const apiServer = files.authority.issue({ commonName: 'kube-apiserver', usage: 'client' });
  // Both in one file, which kube-apiserver reads for each handshake: it has no old pair to fall back on.
  files.write('kube-apiserver.pem', `${apiServer.certificate}${apiServer.keyPem}`);
  return { server, peer, apiServer };
}

const revoke = (...certificates: MadeCertificate[]): void =>
  files.write('crl', files.authority.revoke(...certificates));

/** The serial number that a port shows to a client with that certificate; undefined where it answers nothing. */
function shownTo(port: number, { certificate, keyPem }: MadeCertificate): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({
      host: ADDRESS,
      port,
      ca: readFileSync(files.path('ca.crt')),
      cert: certificate,
      key: keyPem,
    });
    let serial: string | undefined;
    socket.on('secureConnect', () => {
      serial = socket.getPeerCertificate().serialNumber;
      socket.write('GET /version HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    });
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(text.startsWith('HTTP/1.1 200') ? serial : undefined));
  });
}

/** Objects made, changed, read and listed without a pause by workers that go to one kube-apiserver or another. */
class Load {
  readonly acknowledged: string[] = [];
  readonly failures: string[] = [];
  readonly missed: string[] = [];
  lists = 0;
  core: CoreV1Api;
  #running = true;
  #made = 0;
  readonly #workers: Promise<void>[];
  /** The writes under way. */
  #writing = 0;
  /** Settles when writes may begin again. */
  #paused: Promise<unknown> | undefined;

  constructor(core: CoreV1Api, writers: number) {
    this.core = core;
    this.#workers = [...Array.from({ length: writers }, () => this.#write()), this.#list()];
  }

  async progress(what: string, count = 15): Promise<void> {
    const before = this.acknowledged.length;
    await eventually(what, () => this.acknowledged.length >= before + count || this.failures.length > 0, {
      timeoutMs: 30_000,
    });
  }

  /**
   * Runs the action while no write is under way; reads go on. A follower sends a write to the leader once. If their
   * connection breaks at that moment, the follower cannot know whether the write arrived, and the client's request
   * times out, as with etcd.
   */
  async betweenWrites(action: () => Promise<unknown>): Promise<void> {
    const acted = eventually('no write is under way', () => this.#writing === 0, { everyMs: 5 }).then(action);
    this.#paused = acted;
    await acted;
    this.#paused = undefined;
  }

  async stop(): Promise<void> {
    this.#running = false;
    await Promise.all(this.#workers);
  }

  async #write(): Promise<void> {
    while (this.#running) {
      this.#made += 1;
      const name = `object-${this.#made}`;
      const changed = configMap(name, { value: 'two' });
      const steps: (() => Promise<unknown>)[] = [
        () => this.core.createNamespacedConfigMap({ namespace: NAMESPACE, body: configMap(name) }),
        () => this.core.replaceNamespacedConfigMap({ name, namespace: NAMESPACE, body: changed }),
        () => this.core.readNamespacedConfigMap({ name, namespace: NAMESPACE }),
      ];
      for (const step of steps) {
        await this.#paused;
        this.#writing += 1;
        await this.#attempt(name, step);
        this.#writing -= 1;
      }
      this.acknowledged.push(name);
    }
  }

  async #list(): Promise<void> {
    while (this.#running) {
      const expected = [...this.acknowledged];
      await this.#attempt('list', async () => {
        const { items } = await this.core.listNamespacedConfigMap({ namespace: NAMESPACE });
        const names = new Set(items.map(({ metadata }) => metadata?.name));
        this.missed.push(...expected.filter((name) => !names.has(name)));
        this.lists += 1;
      });
      await sleep(50);
    }
  }

  async #attempt(what: string, step: () => Promise<unknown>): Promise<void> {
    try {
      await step();
    } catch (error) {
      this.failures.push(`${what}: ${String(error)}`);
    }
  }
}

const path = `/api/v1/namespaces/${NAMESPACE}/configmaps`;
const GROUP = 'rotation.test';

/** A resource of a new kind: for each kind kube-apiserver opens connections of its own to every member. */
async function defineKind({ kubeConfig }: ControlPlane, plural: string): Promise<void> {
  const kind = plural.charAt(0).toUpperCase() + plural.slice(1);
  await kubeConfig.makeApiClient(ApiextensionsV1Api).createCustomResourceDefinition({
    body: {
      metadata: { name: `${plural}.${GROUP}` },
      spec: {
        group: GROUP,
        scope: 'Cluster',
        names: { kind, plural },
        versions: [
          { name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } },
        ],
      },
    },
  });
  const objects = kubeConfig.makeApiClient(CustomObjectsApi);
  const of = { group: GROUP, version: 'v1', plural };
  const body = { apiVersion: `${GROUP}/v1`, kind, metadata: { name: 'one' } };
  await eventually(`an object of ${plural}`, async () => {
    await objects.createClusterCustomObject({ ...of, body });
    return true;
  });
  await objects.getClusterCustomObject({ ...of, name: 'one' });
}

describe.skipIf(missing !== undefined)(
  `kube-apiserver over mutual TLS on three members ${missing ?? ''}`,
  () => {
    let first: Generation;
    let members: SecureMember[];
    const planes: ControlPlane[] = [];

    async function startPlane(): Promise<ControlPlane> {
      const started = await ControlPlane.start({
        storeUrl: members.map(({ member }) => `https://${member.endpoint}`).join(','),
        flags: [
          `--etcd-cafile=${files.path('ca.crt')}`,
          `--etcd-certfile=${files.path('kube-apiserver.pem')}`,
          `--etcd-keyfile=${files.path('kube-apiserver.pem')}`,
        ],
      });
      planes.push(started);
      return started;
    }

    beforeAll(async () => {
      first = issueAll();
      revoke();
      members = await foundSecureCluster(files, {
        peerFiles: ['peer', 'peer', 'peer'],
        // What is shown is that handshakes work: no election is to come of a slow machine.
        flags: ['--election-timeout=3000'],
      });
      await startPlane();
    });

    afterAll(async () => {
      await Promise.all(planes.map((plane) => plane.destroy()));
      for (const { relay } of members) relay.close();
      await Promise.all(members.map(({ member }) => member.destroy()));
    });

    it('no request fails while all certificates change and all connections are made anew', async () => {
      const [plane] = planes as [ControlPlane];
      const core = plane.kubeConfig.makeApiClient(CoreV1Api);
      await eventually('the default namespace', () =>
        core.readNamespace({ name: NAMESPACE }).then(() => true),
      );
      const watcher = await Watcher.start(plane.kubeConfig, path);
      const load = new Load(core, 3);
      await load.progress('writes with the first certificates');

      const second = issueAll();
      // From now on a handshake with one of the first generation is refused.
      revoke(first.server, first.peer, first.apiServer);
      for (const { member } of members) {
        expect(await shownTo(member.clientPort, second.apiServer)).toBe(serialOf(second.server));
        expect(await shownTo(member.peerPort, second.peer)).toBe(serialOf(second.peer));
        expect(await shownTo(member.clientPort, first.apiServer)).toBeUndefined();
        expect(await shownTo(member.peerPort, first.peer)).toBeUndefined();
      }
      await load.progress('writes over the old connections');

      for (const { relay } of members) {
        await load.betweenWrites(() => {
          relay.cut();
          return eventually('connections of both other members', () => relay.connections >= 4);
        });
        await load.progress('writes over new connections between the members');
      }
      // The running kube-apiserver shakes hands with every member, by its new certificate.
      await defineKind(plane, 'wheels');
      await load.progress('writes beside the new connections');

      // And a second one takes over from it, so that no connection is left of before.
      const next = await startPlane();
      const nextWatcher = await Watcher.resuming(next.kubeConfig, path);
      load.core = next.kubeConfig.makeApiClient(CoreV1Api);
      await load.progress('writes through the other kube-apiserver', 30);
      const last = load.acknowledged.at(-4) ?? '';
      await watcher.until('the watch goes on', ({ story }) => story.includes(`MODIFIED ${last}`), 30_000);
      watcher.stop();
      await plane.stopApiServer();
      await load.progress('writes without the first kube-apiserver');
      await load.stop();

      expect(load.failures).toEqual([]);
      expect(load.missed).toEqual([]);
      const { items } = await load.core.listNamespacedConfigMap({ namespace: NAMESPACE });
      const values = new Map(items.map(({ metadata, data }) => [metadata?.name, data?.['value']]));
      expect(load.acknowledged.filter((name) => values.get(name) !== 'two')).toEqual([]);
      await nextWatcher.until('the last change', ({ story }) =>
        load.acknowledged.every(
          (name) => story.includes(`MODIFIED ${name}`) || watcher.story.includes(`MODIFIED ${name}`),
        ),
      );
      nextWatcher.stop();
      files.write('client.crt', second.apiServer.certificate);
      files.write('client.key', second.apiServer.keyPem);
      const endpoints = members.map(({ member }) => `https://${member.endpoint}`).join(',');
      const statuses = await new Etcdctl(endpoints, files.flags('client')).ok([
        'endpoint',
        'status',
        '-w',
        'json',
      ]);
      const terms = (JSON.parse(statuses) as { Status: { raftTerm: number } }[]).map(
        ({ Status }) => Status.raftTerm,
      );
      console.log(
        `${load.acknowledged.length} objects and ${load.lists} lists while certificates changed, raft terms ${terms.join(' ')}`,
      );
    });
  },
);
