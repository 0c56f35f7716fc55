import { benchmark, duringEtcdctl, etcdctl, type Measured } from './client.ts';
import { clusterScenarios } from './cluster-scenarios.ts';
import { kubernetesScenarios } from './kubernetes-scenarios.ts';
import { securityScenarios } from './security-scenarios.ts';
import { BenchServer, type System } from './servers.ts';

/** One figure of one round. */
export type Figures = Readonly<Record<string, number>>;

export interface Figure {
  readonly name: string;
  readonly unit: string;
  /** The ratio is Keystead over etcd. `higher`: it should be at least `target`; `lower`: at most. */
  readonly better: 'higher' | 'lower';
  readonly target?: number;
  /** An absolute limit of Keystead's figure, for figures that are not compared as a ratio. */
  readonly bound?: number;
}

export interface Scenario {
  readonly name: string;
  readonly figures: readonly Figure[];
  readonly run: (system: System, scale: number) => Promise<Figures>;
  /** Maximum number of rounds, for scenarios that take minutes. */
  readonly rounds?: number;
}

async function withServer<T>(system: System, work: (server: BenchServer) => Promise<T>): Promise<T> {
  const server = new BenchServer(system);
  try {
    await server.start();
    return await work(server);
  } finally {
    await server.remove();
  }
}

function only(results: readonly Measured[]): Measured {
  const [first] = results;
  if (first === undefined) throw new Error('no result');
  return first;
}

const putFlags = ['--key-space-size', '100000', '--val-size', '256'];

function load(clients: number, conns: number): string[] {
  return ['--clients', String(clients), '--conns', String(conns)];
}

async function put(endpoint: string, clients: number, conns: number, total: number): Promise<Measured> {
  return only(
    await benchmark(endpoint, [
      ...load(clients, conns),
      'put',
      '--total',
      String(Math.round(total)),
      ...putFlags,
    ]),
  );
}

function putScenario(
  name: string,
  shape: { clients: number; conns: number; total: number },
  rate: number,
  p99?: number,
): Scenario {
  return {
    name,
    figures: [
      { name: 'rate', unit: '/s', better: 'higher', target: rate },
      { name: 'p99', unit: 'ms', better: 'lower', ...(p99 === undefined ? {} : { target: p99 }) },
    ],
    run: (system, scale) =>
      withServer(system, async ({ endpoint }) => {
        await put(endpoint, 100, 10, 50_000 * scale);
        const { rate, p99 } = await put(endpoint, shape.clients, shape.conns, shape.total * scale);
        return { rate, p99 };
      }),
  };
}

const get: Scenario = {
  name: 'get, linearizable, 100 clients on 10 connections',
  figures: [
    { name: 'rate', unit: '/s', better: 'higher', target: 1.5 },
    { name: 'p99', unit: 'ms', better: 'lower' },
  ],
  run: (system, scale) =>
    withServer(system, async ({ endpoint }) => {
      await etcdctl(endpoint, ['put', 'bench/key', 'x'.repeat(256)]);
      const args = [...load(100, 10), 'range', 'bench/key', '--consistency', 'l', '--total'];
      await benchmark(endpoint, [...args, String(50_000 * scale)]);
      const { rate, p99 } = only(await benchmark(endpoint, [...args, String(150_000 * scale)]));
      return { rate, p99 };
    }),
};

const txnMixed: Scenario = {
  name: 'txn-mixed, 100 clients on 10 connections',
  figures: [
    { name: 'read rate', unit: '/s', better: 'higher', target: 1.8 },
    { name: 'write rate', unit: '/s', better: 'higher', target: 1.8 },
  ],
  run: (system, scale) =>
    withServer(system, async ({ endpoint }) => {
      await put(endpoint, 100, 10, 50_000 * scale);
      const args = [
        ...load(100, 10),
        'txn-mixed',
        '',
        '--end-key',
        '',
        ...putFlags,
        '--limit',
        '10',
        '--total',
      ];
      const results = await benchmark(endpoint, [...args, String(20_000 * scale)]);
      const [read, write] = results;
      if (read === undefined || write === undefined) throw new Error('txn-mixed reports reads and writes');
      return { 'read rate': read.rate, 'write rate': write.rate };
    }),
};

const watch: Scenario = {
  name: 'watch, 1000 watchers of one key',
  figures: [{ name: 'events', unit: '/s', better: 'higher', target: 1.5 }],
  run: (system, scale) =>
    withServer(system, async ({ endpoint }) => {
      await put(endpoint, 100, 10, 20_000 * scale);
      const shape = ['--streams', '10', '--watch-per-stream', '100', '--watched-key-total', '1'];
      const results = await benchmark(endpoint, [
        ...load(10, 10),
        'watch',
        ...shape,
        ...['--put-rate', '100000', '--put-total', String(Math.round(5000 * scale))],
      ]);
      const last = results.at(-1);
      if (last === undefined) throw new Error('no result');
      return { events: last.rate };
    }),
};

const watchLatency: Scenario = {
  name: 'watch latency, put to event, 100 watchers',
  figures: [
    { name: 'p50', unit: 'ms', better: 'lower' },
    { name: 'p99', unit: 'ms', better: 'lower', target: 0.7 },
  ],
  run: (system, scale) =>
    withServer(system, async ({ endpoint }) => {
      await put(endpoint, 100, 10, 20_000 * scale);
      const args = ['watch-latency', '--streams', '10', '--watchers-per-stream', '10', '--put-rate', '200'];
      const results = await benchmark(endpoint, [...args, '--put-total', String(Math.round(2000 * scale))]);
      const last = results.at(-1);
      if (last === undefined) throw new Error('no result');
      return { p50: last.p50, p99: last.p99 };
    }),
};

const start: Scenario = {
  name: 'first start and idle memory',
  figures: [
    { name: 'start', unit: 'ms', better: 'lower', bound: 250 },
    { name: 'idle RSS', unit: 'MB', better: 'lower', bound: 80 },
  ],
  run: async (system) => {
    const server = new BenchServer(system);
    try {
      const ms = await server.start();
      await new Promise((wake) => setTimeout(wake, 2000));
      return { start: ms, 'idle RSS': server.rss() / 1e6 };
    } finally {
      await server.remove();
    }
  },
};

const million: Scenario = {
  name: '1,000,000 keys of 512 B',
  rounds: 1,
  figures: [
    { name: 'list 500', unit: '/s', better: 'higher', target: 50 },
    { name: 'count', unit: 'ms', better: 'lower', bound: 5 },
    { name: 'restart', unit: 'ms', better: 'lower', bound: 1000 },
    { name: 'restart RSS', unit: 'MB', better: 'lower', bound: 300 },
    { name: 'disk', unit: 'MB', better: 'lower', target: 0.7 },
    { name: 'quiet p99', unit: 'ms', better: 'lower' },
    { name: 'p99 in compaction over quiet', unit: 'x', better: 'lower', bound: 1.5 },
    { name: 'p99 in defragment over quiet', unit: 'x', better: 'lower', bound: 1.5 },
  ],
  run: async (system, scale) => {
    const server = new BenchServer(system);
    try {
      await server.start();
      const keys = Math.round(1_000_000 * scale);
      const space = ['--key-space-size', String(keys), '--val-size', '512', '--key-size', '16'];
      const fill = [...load(500, 50), 'put', '--sequential-keys', ...space, '--total', String(keys)];
      await benchmark(server.endpoint, fill);
      const list = only(
        await benchmark(server.endpoint, [
          ...load(8, 8),
          'range',
          '\u0001',
          '\u{10ffff}',
          '--limit',
          '500',
          '--total',
          system === 'etcd' ? '40' : '4000',
        ]),
      );
      const count = only(
        await benchmark(server.endpoint, [
          'range',
          '\u0001',
          '\u{10ffff}',
          '--count-only',
          '--total',
          system === 'etcd' ? '20' : '500',
        ]),
      );
      await server.stop();
      const restart = await server.start();
      const rss = server.rss() / 1e6;
      const disk = server.disk() / 1e6;
      const load100 = (total: number): Promise<Measured[]> =>
        benchmark(server.endpoint, [...load(100, 10), 'put', ...space, '--total', String(total)]);
      await load100(50_000);
      const quiet = only(await load100(200_000));
      const status: unknown = JSON.parse(await etcdctl(server.endpoint, ['get', 'none', '-w', 'json']));
      const revision = (status as { header: { revision: number } }).header.revision;
      const compacting = only(
        await duringEtcdctl(
          server.endpoint,
          ['compaction', String(revision), '--physical'],
          load100(200_000),
        ),
      );
      const defragmenting = only(await duringEtcdctl(server.endpoint, ['defrag'], load100(200_000)));
      return {
        'list 500': list.rate,
        count: count.p50,
        restart,
        'restart RSS': rss,
        disk,
        'quiet p99': quiet.p99,
        'p99 in compaction over quiet': compacting.p99 / quiet.p99,
        'p99 in defragment over quiet': defragmenting.p99 / quiet.p99,
      };
    } finally {
      await server.remove();
    }
  },
};

export const scenarios: Readonly<Record<string, Scenario>> = {
  put100: putScenario(
    'put 256 B, 100 clients on 10 connections',
    { clients: 100, conns: 10, total: 150_000 },
    2,
    0.55,
  ),
  put1000: putScenario(
    'put 256 B, 1000 clients on 100 connections',
    { clients: 1000, conns: 100, total: 150_000 },
    2,
    0.55,
  ),
  put1: putScenario('put 256 B, one client', { clients: 1, conns: 1, total: 5000 }, 1),
  get,
  txn: txnMixed,
  watch,
  latency: watchLatency,
  start,
  million,
  ...clusterScenarios,
  ...securityScenarios,
  ...kubernetesScenarios,
};
