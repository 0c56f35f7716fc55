import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { credentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { flagDefinitions, type FlagName } from '../../src/config/flags.ts';
import { hasReusePort } from '../../src/config/unsupported-flags.ts';
import {
  AuthEnableRequest,
  AuthUserAddRequest,
  AuthUserGrantRoleRequest,
  PutRequest,
} from '../../src/wire/gen/etcdserverpb.ts';
import { Auth, KV } from '../../src/wire/services.ts';
import { Certificates } from '../harness/certificates.ts';
import { runCommand } from '../harness/command.ts';
import { Member } from '../harness/member.ts';
import { keysteadBundle, repositoryRoot } from '../harness/paths.ts';
import { freePort } from '../harness/ports.ts';
import type { Program } from '../harness/program.ts';
import { RpcClient } from '../harness/rpc-client.ts';
import { removeTempDir, tempDir } from '../harness/temp-dir.ts';
import {
  discovering,
  type DiscoveryService,
  type FlagTexts,
  forced,
  issueCertificates,
  loneMember,
  secureMember,
  selfSigned,
} from './flag-groups.ts';
import { putAndGet, startBundle } from './started-bundle.ts';
import { notInFiles, waysToGive } from './ways-to-give.ts';

/*
 * The built server is started with each flag of the table at least once, in each way to give flags, and serves a put
 * and a get. A new flag fails the last test until a start has it.
 */

/** Flags whose starts need more than this file has, with the suite that makes them. */
const startedElsewhere: Readonly<Partial<Record<FlagName, string>>> = {
  // Needs a name server.
  'discovery-srv': 'e2e/clusters/discovery.test.ts',
  'discovery-srv-name': 'e2e/clusters/discovery.test.ts',
};

const files = new Certificates('flags');
const folder = tempDir('flags');
const pem = (name: string): Buffer => readFileSync(files.path(name));
const anybody = credentials.createSsl(null, null, null, { rejectUnauthorized: false });

/** Flags that a start had, by the way they were given. */
const started = new Map(Object.keys(waysToGive).map((way) => [way, new Set<string>(['config-file'])]));
const startsEnded = new Set<FlagName>();
let service: Member;
let discovery: DiscoveryService;

beforeAll(async () => {
  issueCertificates(files);
  const clientPort = await freePort();
  const securePort = await freePort();
  const urls = `http://127.0.0.1:${clientPort},https://127.0.0.1:${securePort}`;
  service = await Member.start({
    kind: 'keystead',
    name: 'service',
    clientPort,
    flags: [
      ...[`--listen-client-urls=${urls}`, `--advertise-client-urls=${urls}`, '--bcrypt-cost=4'],
      ...[`--cert-file=${files.path('server.crt')}`, `--key-file=${files.path('server.key')}`],
      ...[`--trusted-ca-file=${files.path('ca.crt')}`, '--client-cert-auth'],
    ],
  });
  discovery = { url: `https://127.0.0.1:${securePort}`, user: 'root', password: 'secret' };
  const client = new RpcClient(service.endpoint);
  for (const at of Object.keys(waysToGive).keys()) {
    const key = Buffer.from(`/_etcd/registry/way${at}/_config/size`);
    await client.unary(KV.methods.put, PutRequest.create({ key, value: Buffer.from('1') }));
  }
  const { user: name, password } = discovery;
  await client.unary(Auth.methods.userAdd, AuthUserAddRequest.create({ name, password }));
  await client.unary(
    Auth.methods.userGrantRole,
    AuthUserGrantRoleRequest.create({ user: name, role: 'root' }),
  );
  await client.unary(Auth.methods.authEnable, AuthEnableRequest.create());
  client.close();
});

afterAll(async () => {
  await service.destroy();
  removeTempDir(folder);
});

describe.each(Object.keys(waysToGive))('flags given %s', (way) => {
  const at = Object.keys(waysToGive).indexOf(way);
  const ownFolder = (name: string): string => {
    const path = join(folder, `${at}-${name}`);
    mkdirSync(path, { recursive: true });
    return path;
  };
  let lone: FlagTexts;

  /** Starts with these flags and puts a key. Returns what was read, or throws with the output. */
  async function served(
    texts: FlagTexts,
    check: (program: Program) => Promise<unknown> = (program) =>
      putAndGet(program, texts['listen-client-urls'] ?? ''),
  ): Promise<unknown> {
    const given = waysToGive[way]?.(texts, folder) ?? { args: [], env: {} };
    const program = startBundle(given.args, { env: given.env });
    try {
      const result = await check(program);
      await program.stop();
      expect(program.exitCode).toBe(0);
      for (const name of Object.keys(texts)) started.get(way)?.add(name);
      return result;
    } finally {
      program.signal('SIGKILL');
    }
  }

  it('serve a member that is alone', async () => {
    lone = await loneMember(ownFolder('lone'));
    expect(
      await served(lone, async (program) => {
        const value = await putAndGet(program, lone['listen-client-urls'] ?? '');
        for (const url of [lone['listen-client-http-urls'], lone['listen-metrics-urls']])
          expect((await fetch(`${url}/health`)).status).toBe(200);
        return value;
      }),
    ).toBe('works');
    expect(readFileSync(join(ownFolder('lone'), 'log'), 'utf8')).toContain('\tdebug\t');
    expect(readFileSync(join(ownFolder('lone'), 'audit'), 'utf8')).toContain(
      '"method":"etcdserverpb.KV/Range"',
    );
  });

  it('serve its data as those of a new cluster', async () => {
    expect(
      await served(forced(lone), async (program) => {
        const url = lone['listen-client-urls'] ?? '';
        expect(await putAndGet(program, url)).toBe('works');
        return readFileSync(join(ownFolder('lone'), 'log'), 'utf8');
      }),
    ).toMatch(/forc/i);
  });

  it('serve clients and peers with certificates', async () => {
    const texts = await secureMember(ownFolder('secure'), files);
    const url = texts['listen-client-urls'] ?? '';
    const security = credentials.createSsl(pem('ca.crt'), pem('client.key'), pem('client.crt'));
    expect(await served(texts, (program) => putAndGet(program, url, security))).toBe('works');
  });

  it('serve with certificates of its own making', async () => {
    const texts = await selfSigned(ownFolder('own'));
    const url = texts['listen-client-urls'] ?? '';
    expect(await served(texts, (program) => putAndGet(program, url, anybody))).toBe('works');
  });

  it('serve a cluster that it found at a discovery service', async () => {
    const texts = await discovering(ownFolder('found'), files, { service: discovery, token: `way${at}` });
    expect(await served(texts)).toBe('works');
  });
});

describe('flags that are not for serving', () => {
  it('--version prints the version', async () => {
    const { code, stdout } = await runCommand(process.execPath, [keysteadBundle(), '--version']);
    expect([code, stdout.split('\n')[0]]).toEqual([0, 'etcd Version: 3.7.1']);
    startsEnded.add('version');
  });

  it.skipIf(hasReusePort(process.versions.node))(
    '--socket-reuse-port is refused, because this Node.js has no such option',
    async () => {
      const args = [keysteadBundle(), '--socket-reuse-port'];
      const { code, stderr } = await runCommand(process.execPath, args);
      expect(code).toBe(1);
      expect(stderr).toContain('--socket-reuse-port needs Node.js 22.12 or later');
    },
  );

  it.skipIf(!hasReusePort(process.versions.node))(
    'two members listen on the same client address with --socket-reuse-port, but not without it',
    async () => {
      const ready = 'ready to serve client requests';
      const first = await Member.start({ kind: 'keystead', flags: ['--socket-reuse-port'] });
      const { clientPort } = first;
      // The health check of the others may be answered by the first one.
      const second = await Member.start({ kind: 'keystead', clientPort, flags: ['--socket-reuse-port'] });
      const third = await Member.start({ kind: 'keystead', clientPort });
      try {
        await second.program.sees(ready);
        await third.program.sees('EADDRINUSE');
      } finally {
        for (const member of [first, second, third]) await member.destroy();
      }
    },
  );
  startsEnded.add('socket-reuse-port');
});

it('each flag has had a start, in each way that it can be given', () => {
  for (const [way, names] of started) {
    const isFile = way === 'by a configuration file';
    const missing = flagDefinitions
      .map(({ name }) => name)
      .filter((name) => !names.has(name) && !startsEnded.has(name) && startedElsewhere[name] === undefined)
      .filter((name) => !isFile || !notInFiles.has(name));
    expect([way, missing]).toEqual([way, []]);
  }
  for (const [name, suite] of Object.entries(startedElsewhere))
    expect(readFileSync(join(repositoryRoot, suite), 'utf8')).toContain(`--${name}=`);
});
