import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { DnsServer } from '../../src/cli/discovery/testing/dns-server.ts';
import { Authority } from '../../src/tls/testing/authority.ts';
import { Etcdctl } from '../harness/etcdctl.ts';
import { Member, type MemberKind } from '../harness/member.ts';
import { keysteadBundle, missingPeers, requirePeer } from '../harness/paths.ts';
import { freePort } from '../harness/ports.ts';
import { Program } from '../harness/program.ts';
import { removeTempDir, tempDir } from '../harness/temp-dir.ts';
import { eventually } from '../harness/wait.ts';
import { isOneCluster } from './one-cluster.ts';

const missing = missingPeers('etcd', 'etcdctl');
const kinds: readonly MemberKind[] = ['keystead', 'etcd', 'keystead'];

let started: Member[] = [];
afterEach(async () => {
  await Promise.all(started.map((member) => member.destroy()));
  started = [];
});

/** Starts members that know each other only by `flags`. */
async function found(
  flags: readonly string[],
  { ports = [], prefix = [] }: { ports?: readonly number[]; prefix?: readonly string[] } = {},
): Promise<Member[]> {
  const members = await Promise.all(
    kinds.map(async (kind, at) =>
      Member.start({
        kind,
        name: `m${at}`,
        prefix,
        peerPort: ports[at] ?? (await freePort()),
        flags: ['--initial-cluster=', ...flags],
        readyTimeoutMs: 60_000,
      }),
    ),
  );
  started.push(...members);
  return members;
}

/** A start that fails: its exit code and its output. */
async function failedStart(
  kind: MemberKind,
  flags: readonly string[],
): Promise<{ code: number; text: string }> {
  const directory = tempDir('refused');
  const peerUrl = `http://127.0.0.1:${await freePort()}`;
  const clientUrl = `http://127.0.0.1:${await freePort()}`;
  const args = [
    ...[`--name=late`, `--data-dir=${directory}`, `--listen-peer-urls=${peerUrl}`],
    ...[`--initial-advertise-peer-urls=${peerUrl}`, `--listen-client-urls=${clientUrl}`],
    ...[`--advertise-client-urls=${clientUrl}`, ...flags],
  ];
  const program =
    kind === 'etcd'
      ? new Program(kind, requirePeer('etcd'), args)
      : new Program(kind, process.execPath, [keysteadBundle(), ...args]);
  await eventually('the end of the process', () => !program.alive, { timeoutMs: 40_000 });
  removeTempDir(directory);
  return { code: program.exitCode ?? -1, text: program.tail() };
}

describe.skipIf(missing !== undefined)(`v3 discovery ${missing ?? ''}`, () => {
  it.each(['etcd', 'keystead'] as const)(
    'members of both kinds find each other at a service that is %s',
    async (kind) => {
      const service = await Member.start({ kind, name: 'service' });
      started.push(service);
      await new Etcdctl(service.endpoint).ok(['put', '/_etcd/registry/one/_config/size', '3']);
      const flags = [`--discovery-endpoints=${service.clientUrl}`, '--discovery-token=one'];
      const members = await found(flags);
      await isOneCluster(members);
      for (const late of ['etcd', 'keystead'] as const) {
        const { code, text } = await failedStart(late, flags);
        expect(code).toBe(1);
        expect(text).toContain('failed to join discovery cluster (discovery: cluster is full)');
      }
      const unknown = await failedStart('keystead', [flags[0] ?? '', '--discovery-token=two']);
      expect(unknown.text).toContain('failed to join discovery cluster (discovery: size key not found)');
      // The members are stored in its data, so it does not ask the service again.
      await service.kill();
      await members[0]?.restart();
      await isOneCluster(members);
    },
  );

  it('uses TLS and logs in if the service requires it', async () => {
    const directory = tempDir('discovery-tls');
    const authority = new Authority();
    const path = (name: string): string => join(directory, name);
    writeFileSync(path('ca.crt'), authority.certificate);
    for (const name of ['server', 'client']) {
      const issued = authority.issue(name === 'server' ? { hosts: ['127.0.0.1'] } : { usage: 'client' });
      writeFileSync(path(`${name}.crt`), issued.certificate);
      writeFileSync(path(`${name}.key`), issued.keyPem);
    }
    const clientPort = await freePort();
    const securePort = await freePort();
    const urls = `http://127.0.0.1:${clientPort},https://127.0.0.1:${securePort}`;
    const service = await Member.start({
      kind: 'keystead',
      name: 'service',
      clientPort,
      flags: [
        ...[`--listen-client-urls=${urls}`, `--advertise-client-urls=${urls}`, '--bcrypt-cost=4'],
        ...[`--cert-file=${path('server.crt')}`, `--key-file=${path('server.key')}`],
        ...[`--trusted-ca-file=${path('ca.crt')}`, '--client-cert-auth'],
      ],
    });
    started.push(service);
    const plain = new Etcdctl(service.endpoint);
    await plain.ok(['put', '/_etcd/registry/safe/_config/size', '3']);
    await plain.ok(['user', 'add', 'root:secret']);
    await plain.ok(['user', 'grant-role', 'root', 'root']);
    await plain.ok(['auth', 'enable']);
    const secure = [
      ...[`--discovery-endpoints=https://127.0.0.1:${securePort}`, '--discovery-token=safe'],
      ...[`--discovery-cacert=${path('ca.crt')}`, `--discovery-cert=${path('client.crt')}`],
      ...[`--discovery-key=${path('client.key')}`, '--discovery-insecure-transport=false'],
    ];
    const refused = await failedStart('keystead', [
      ...secure,
      ...['--discovery-user=root', '--discovery-password=wrong'],
    ]);
    expect(refused.text).toContain('failed to join discovery cluster');
    await isOneCluster(await found([...secure, '--discovery-user=root', '--discovery-password=secret']));
  });
});

/** This needs root, port 53 of a loopback address, and private mounts. */
const NAME_SERVER = '127.0.0.77';
const resolvConf = join(tempDir('dns'), 'resolv.conf');
const ownNames = [
  'unshare',
  '-m',
  'sh',
  '-c',
  `mount --bind ${resolvConf} /etc/resolv.conf && exec "$@"`,
  'sh',
];

function canMountNames(): boolean {
  try {
    writeFileSync(resolvConf, `nameserver ${NAME_SERVER}\n`);
    const [command = '', ...args] = ownNames;
    return execFileSync(command, [...args, 'cat', '/etc/resolv.conf'], { stdio: 'pipe' })
      .toString()
      .includes(NAME_SERVER);
  } catch {
    return false;
  }
}

const noNames = missing ?? (canMountNames() ? undefined : 'skipped: no mount of /etc/resolv.conf here');

describe.skipIf(noNames !== undefined)(`discovery by SRV records ${noNames ?? ''}`, () => {
  let dns: DnsServer;
  const ports: number[] = [];
  beforeAll(async () => {
    while (ports.length < kinds.length) ports.push(await freePort());
    const records = ports.map((port, at) => ({
      priority: 1,
      weight: 1,
      port,
      target: `m${at}.cluster.test`,
    }));
    const zone = {
      srv: {
        '_etcd-server._tcp.cluster.test': records,
        '_etcd-server-blue._tcp.cluster.test': records,
        '_etcd-server-ssl._tcp.secure.test': records,
      },
      addresses: Object.fromEntries(kinds.map((_, at) => [`m${at}.cluster.test`, '127.0.0.1'])),
    };
    dns = await DnsServer.listen(zone, { host: NAME_SERVER, port: 53 });
  });
  afterAll(() => dns.close());

  it.each([
    ['of the usual service', []],
    ['of a service with a suffix', ['--discovery-srv-name=blue']],
  ])('members of both kinds found one cluster by the records %s', async (_, suffix) => {
    const members = await found(['--discovery-srv=cluster.test', ...suffix], { ports, prefix: ownNames });
    await isOneCluster(members);
    const urls = await new Etcdctl(members[0]?.endpoint ?? '').ok(['member', 'list']);
    for (const at of kinds.keys()) expect(urls).toContain(`http://m${at}.cluster.test:${ports[at]}`);
  });

  it('over TLS, the certificates of members must match the domain', async () => {
    const directory = tempDir('srv-tls');
    const path = (name: string): string => join(directory, name);
    const authority = new Authority();
    const { certificate, keyPem } = authority.issue({ hosts: ['secure.test'] });
    for (const [name, text] of Object.entries({ ca: authority.certificate, crt: certificate, key: keyPem }))
      writeFileSync(path(name), text);
    const members = await Promise.all(
      kinds.map((kind, at) =>
        Member.start({
          kind,
          name: `m${at}`,
          prefix: ownNames,
          readyTimeoutMs: 60_000,
          // Without a CA flag, the CAs of the system are trusted.
          env: { SSL_CERT_FILE: path('ca'), NODE_EXTRA_CA_CERTS: path('ca') },
          flags: [
            ...['--initial-cluster=', '--discovery-srv=secure.test'],
            ...[`--peer-cert-file=${path('crt')}`, `--peer-key-file=${path('key')}`],
            ...[`--listen-peer-urls=https://127.0.0.1:${ports[at]}`],
            ...[`--initial-advertise-peer-urls=https://m${at}.cluster.test:${ports[at]}`],
          ],
        }),
      ),
    );
    started.push(...members);
    await isOneCluster(members);
    removeTempDir(directory);
  });

  it.each(['etcd', 'keystead'] as const)('%s says so when it is not among them', async (kind) => {
    const [command = '', ...before] = ownNames;
    const port = await freePort();
    const directory = tempDir('stranger');
    const binary = kind === 'etcd' ? [requirePeer('etcd')] : [process.execPath, keysteadBundle()];
    const run = (domain: string): Program =>
      new Program(kind, command, [
        ...[...before, ...binary, '--name=stranger', `--data-dir=${directory}`],
        ...[`--listen-peer-urls=http://127.0.0.1:${port}`, '--listen-client-urls=http://127.0.0.1:0'],
        ...[
          `--initial-advertise-peer-urls=http://127.0.0.1:${port}`,
          '--advertise-client-urls=http://127.0.0.1:1',
        ],
        `--discovery-srv=${domain}`,
      ]);
    const stranger = run('cluster.test');
    await stranger.sees(
      'error setting up initial cluster: cannot find local etcd member \\"stranger\\" in SRV records',
    );
    const nowhere = run('nowhere.test');
    const service = (name: string): string =>
      `error querying DNS SRV records for _${name} lookup _${name}._tcp.nowhere.test on ${NAME_SERVER}:53: no such host`;
    await nowhere.sees(
      `error setting up initial cluster: ${service('etcd-server-ssl')}\\n${service('etcd-server')}"`,
    );
    await eventually('both have ended', () => !stranger.alive && !nowhere.alive);
    removeTempDir(directory);
  });
});
