import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Authority } from '../../src/tls/testing/authority.ts';
import { benchmark, etcdctl, type Measured } from './client.ts';
import type { Account } from './accounts.ts';
import { PutProbe } from './put-probe.ts';
import type { Scenario } from './scenarios.ts';
import { BenchServer, type System } from './servers.ts';

interface Secured {
  readonly flags: readonly string[];
  /** Arguments of the benchmark client. */
  readonly client: readonly string[];
}

const ROOT: Account = { name: 'root', password: 'secret' };
const asRoot = ['--user', `${ROOT.name}:${ROOT.password}`];

export async function withCertificates<T>(work: (secured: Secured) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'keystead-bench-tls-'));
  const file = (name: string, content: string): string => {
    writeFileSync(join(directory, name), content);
    return join(directory, name);
  };
  try {
    const authority = new Authority();
    const { certificate, keyPem } = authority.issue({ hosts: ['127.0.0.1'] });
    const ca = file('ca.crt', authority.certificate);
    const flags = ['--cert-file', file('server.crt', certificate), '--key-file', file('server.key', keyPem)];
    return await work({ flags, client: ['--cacert', ca] });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function withServer<T>(
  system: System,
  flags: readonly string[],
  work: (server: BenchServer) => Promise<T>,
): Promise<T> {
  const server = new BenchServer(system, flags);
  try {
    await server.start();
    return await work(server);
  } finally {
    await server.remove();
  }
}

interface Load {
  readonly clients: number;
  readonly connections: number;
  readonly total: number;
}

async function put(endpoint: string, client: readonly string[], load: Load): Promise<Measured> {
  const [measured] = await benchmark(endpoint, [
    ...client,
    ...['--clients', String(load.clients), '--conns', String(load.connections), 'put'],
    ...['--total', String(Math.round(load.total)), '--key-space-size', '100000', '--val-size', '256'],
  ]);
  if (measured === undefined) throw new Error('no result');
  return measured;
}

const putFigures = [
  { name: 'rate', unit: '/s', better: 'higher', target: 1.8 },
  { name: 'p99', unit: 'ms', better: 'lower' },
] as const;

async function turnAuthOn(
  endpoint: string,
  client: readonly string[],
  others: readonly Account[] = [],
): Promise<void> {
  for (const { name, password } of [ROOT, ...others])
    await etcdctl(endpoint, [...client, 'user', 'add', `${name}:${password}`]);
  await etcdctl(endpoint, [...client, 'user', 'grant-role', ROOT.name, 'root']);
  await etcdctl(endpoint, [...client, 'auth', 'enable']);
}

interface Shape {
  readonly tls: boolean;
  readonly auth: boolean;
}

async function withShape<T>(shape: Shape, work: (secured: Secured) => Promise<T>): Promise<T> {
  return shape.tls ? await withCertificates(work) : await work({ flags: [], client: [] });
}

function securePut(shape: Shape, clients: number, connections: number): Scenario {
  const what = [...(shape.tls ? ['TLS'] : []), ...(shape.auth ? ['auth on'] : [])].join(', ');
  return {
    name: `${what}, put 256 B, ${clients} clients on ${connections} connections`,
    figures: putFigures,
    run: async (system, scale) =>
      await withShape(
        shape,
        async ({ flags, client }) =>
          await withServer(system, flags, async ({ endpoint }) => {
            if (shape.auth) await turnAuthOn(endpoint, client);
            const as = shape.auth ? [...client, ...asRoot] : client;
            await put(endpoint, as, { clients: 100, connections: 10, total: 50_000 * scale });
            const { rate, p99 } = await put(endpoint, as, { clients, connections, total: 150_000 * scale });
            return { rate, p99 };
          }),
      ),
  };
}

const LOGIN_CLIENTS = 200;
const WARM_MS = 8000;
const MEASURED_MS = 8000;

async function answered(load: ChildProcess): Promise<number> {
  load.send('how many');
  const [count] = (await once(load, 'message')) as [number];
  return count;
}

/** Measures a flood of logins: its rate, and its effect on the puts of other clients. */
async function flood(
  endpoint: string,
  probe: PutProbe,
  accounts: readonly Account[],
): Promise<{ rate: number; p99: number }> {
  const load = fork(join(import.meta.dirname, 'login-load.ts'), [
    ...[endpoint, String(LOGIN_CLIENTS), JSON.stringify(accounts)],
  ]);
  try {
    await new Promise((wake) => setTimeout(wake, WARM_MS));
    const before = await answered(load);
    const began = performance.now();
    const p99 = await probe.p99(MEASURED_MS);
    return { rate: (((await answered(load)) - before) / (performance.now() - began)) * 1000, p99 };
  } finally {
    load.kill('SIGKILL');
    await once(load, 'exit');
  }
}

const logins: Scenario = {
  rounds: 2,
  name: `logins of ${LOGIN_CLIENTS} clients of 20 users, at bcrypt cost 10`,
  figures: [
    { name: 'logins', unit: '/s', better: 'higher', target: 3 },
    { name: 'put p99 quiet', unit: 'ms', better: 'lower' },
    { name: 'put p99 with logins, relative to without', unit: 'x', better: 'lower', bound: 1.5 },
    { name: 'refused logins', unit: '/s', better: 'higher' },
    { name: 'put p99 with logins, relative to without, refused', unit: 'x', better: 'lower', bound: 1.5 },
  ],
  run: async (system) =>
    await withServer(system, ['--bcrypt-cost', '10'], async ({ endpoint }) => {
      const accounts = Array.from({ length: 20 }, (_, at) => ({
        name: `user${at}`,
        password: `password ${at}`,
      }));
      await turnAuthOn(endpoint, [], accounts);
      const probe = await PutProbe.login(endpoint, ROOT);
      try {
        await probe.p99(MEASURED_MS / 2);
        const quiet = await probe.p99(MEASURED_MS);
        const right = await flood(endpoint, probe, accounts);
        const wrong = await flood(
          endpoint,
          probe,
          accounts.map(({ name }) => ({ name, password: 'wrong' })),
        );
        return {
          logins: right.rate,
          'put p99 quiet': quiet,
          'put p99 with logins, relative to without': right.p99 / quiet,
          'refused logins': wrong.rate,
          'put p99 with logins, relative to without, refused': wrong.p99 / quiet,
        };
      } finally {
        probe.close();
      }
    }),
};

export const securityScenarios: Readonly<Record<string, Scenario>> = {
  tls100: securePut({ tls: true, auth: false }, 100, 10),
  tls1000: securePut({ tls: true, auth: false }, 1000, 100),
  auth100: securePut({ tls: false, auth: true }, 100, 10),
  tlsauth100: securePut({ tls: true, auth: true }, 100, 10),
  logins,
};
