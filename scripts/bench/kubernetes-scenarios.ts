import { type LoadResult, runLoad } from './load.ts';
import type { Figure, Figures, Scenario } from './scenarios.ts';
import { BenchCluster, BenchServer, type System } from './servers.ts';

/** The arguments of a scenario for the load generator, and the targets of Keystead as ratios to etcd. */
interface Shape {
  readonly name: string;
  /** Arguments of `scripts/bench/load-generator`. */
  readonly args: readonly string[];
  /** Number of warm-up operations and of measured operations; both are multiplied by `--scale`. */
  readonly warm: number;
  readonly total: number;
  readonly targets: { readonly processorTime?: number; readonly rate?: number; readonly p99?: number };
  readonly rounds?: number;
}

function figure(name: string, unit: string, better: 'higher' | 'lower', target?: number): Figure {
  return { name, unit, better, ...(target === undefined ? {} : { target }) };
}

export const PROCESSOR_TIME = 'processor time';
const BUSIEST_THREAD = 'busiest thread';

function figuresOf(result: LoadResult): Figures {
  const [{ allUs, busiestUs } = { allUs: NaN, busiestUs: NaN }] = result.processorTime;
  return {
    [PROCESSOR_TIME]: allUs / result.operations,
    [BUSIEST_THREAD]: busiestUs / result.operations,
    rate: result.rate,
    p99: result.p99,
  };
}

function loadArguments({ args, warm, total }: Shape, scale: number): string[] {
  return [
    ...args,
    ...[
      '--warm',
      String(Math.round(warm * scale)),
      '--total',
      String(Math.max(1, Math.round(total * scale))),
    ],
  ];
}

/** One member under one load. */
function single(shape: Shape): Scenario {
  const { name, targets, rounds } = shape;
  return {
    name,
    ...(rounds === undefined ? {} : { rounds }),
    figures: [
      figure(PROCESSOR_TIME, 'us/op', 'lower', targets.processorTime),
      figure(BUSIEST_THREAD, 'us/op', 'lower'),
      figure('rate', '/s', 'higher', targets.rate),
      figure('p99', 'ms', 'lower', targets.p99),
    ],
    run: async (system, scale) => {
      const server = new BenchServer(system);
      try {
        await server.start();
        return figuresOf(await runLoad(server.endpoint, loadArguments(shape, scale), [[server.pid]]));
      } finally {
        await server.remove();
      }
    },
  };
}

/** Three members. The processor times of the leader and of the followers are separate figures. */
function cluster(shape: Shape): Scenario {
  const { name, targets } = shape;
  const followers = 'processor time of a follower';
  return {
    name,
    figures: [
      figure('processor time of the leader', 'us/op', 'lower', targets.processorTime),
      figure(followers, 'us/op', 'lower', targets.processorTime),
      figure('rate', '/s', 'higher', targets.rate),
      figure('p99', 'ms', 'lower', targets.p99),
    ],
    run: async (system, scale) => {
      const members = new BenchCluster(system, 3);
      try {
        await members.start();
        const leader = await members.leader();
        const [of, others] = [
          members.pidOf(leader),
          members.pids.filter((pid) => pid !== members.pidOf(leader)),
        ];
        const result = await runLoad(leader, loadArguments(shape, scale), [[of], others]);
        return {
          'processor time of the leader': (result.processorTime[0]?.allUs ?? NaN) / result.operations,
          [followers]: (result.processorTime[1]?.allUs ?? NaN) / result.operations / others.length,
          rate: result.rate,
          p99: result.p99,
        };
      } finally {
        await members.remove();
      }
    },
  };
}

/** Puts of one client while others list without pause. Only the puts are measured. */
function storm(clients: number, streams: boolean): Scenario {
  const shape: Shape = {
    name: `one client's puts while ${clients} ${clients === 1 ? 'client lists' : 'clients list'} 20,000 x 1.4 KB by ${streams ? 'RangeStream' : 'Range'}`,
    args: [
      ...['--scenario', 'storm', '--clients', '1', '--conns', '1', '--keys', '20000', '--value-size', '1400'],
      ...['--storm', String(clients), ...(streams ? ['--streams'] : [])],
    ],
    warm: 2000,
    total: 5000,
    targets: {},
  };
  return {
    name: shape.name,
    figures: [
      figure('rate', 'puts/s', 'higher', 1),
      figure('p50', 'ms', 'lower'),
      figure('p99', 'ms', 'lower', 1),
      figure('lists', '/s', 'higher'),
    ],
    run: async (system: System, scale) => {
      const server = new BenchServer(system);
      try {
        await server.start();
        const { rate, p50, p99, extra } = await runLoad(server.endpoint, loadArguments(shape, scale), [
          [server.pid],
        ]);
        return { rate, p50, p99, lists: extra?.lists ?? NaN };
      } finally {
        await server.remove();
      }
    },
  };
}

function load(scenario: string, clients: number, conns: number, ...more: string[]): string[] {
  return ['--scenario', scenario, '--clients', String(clients), '--conns', String(conns), ...more];
}

const objects = (keys: number, bytes: number): string[] => [
  '--keys',
  String(keys),
  '--value-size',
  String(bytes),
];

export const kubernetesScenarios: Readonly<Record<string, Scenario>> = {
  'k-put-cold': single({
    name: 'put 256 B, 100 clients, the first 30,000 of a fresh server',
    args: load('put', 100, 10),
    warm: 0,
    total: 30_000,
    targets: { processorTime: 0.45 },
  }),
  'k-put100': single({
    name: 'put 256 B, 100 clients, after 100,000',
    args: load('put', 100, 10),
    warm: 100_000,
    total: 100_000,
    targets: { processorTime: 0.33, rate: 2, p99: 0.55 },
  }),
  'k-put1000': single({
    name: 'put 256 B, 1,000 clients, after 100,000',
    args: load('put', 1000, 100),
    warm: 100_000,
    total: 100_000,
    targets: { processorTime: 0.33, rate: 2, p99: 0.55 },
  }),
  'k-put1': single({
    name: 'put 256 B, one client, after 5,000',
    args: load('put', 1, 1),
    warm: 5000,
    total: 5000,
    targets: { rate: 1 },
  }),
  'k-get': single({
    name: 'linearizable get, 100 clients, after 50,000',
    args: load('get', 100, 10, ...objects(10_000, 1000)),
    warm: 50_000,
    total: 100_000,
    targets: { processorTime: 0.15 },
  }),
  'k-create': single({
    name: 'create of an object of 1 KB, 50 clients, after 50,000',
    args: load('create', 50, 10, '--value-size', '1000'),
    warm: 50_000,
    total: 50_000,
    targets: { processorTime: 0.35 },
  }),
  'k-update': single({
    name: 'guarded update of 1 KB, 50 clients, after 30,000',
    args: load('update', 50, 10, '--value-size', '1000'),
    warm: 30_000,
    total: 50_000,
    targets: { processorTime: 0.35 },
  }),
  'k-delete': single({
    name: 'guarded delete, 50 clients, after 30,000',
    args: load('delete', 50, 10, '--value-size', '1000'),
    warm: 30_000,
    total: 50_000,
    targets: { processorTime: 0.35 },
  }),
  'k-txn-large': single({
    name: 'transaction of 1.2 MB (100 puts), one client',
    args: load('large-txn', 1, 1, '--value-size', '12000'),
    warm: 20,
    total: 100,
    targets: { processorTime: 0.8 },
  }),
  'k-list': single({
    name: 'list of 10,000 x 10 KB, 4 clients',
    args: load('list', 4, 4, ...objects(10_000, 10_000)),
    warm: 8,
    total: 24,
    targets: { processorTime: 0.7, rate: 1.5, p99: 0.7 },
  }),
  'k-list-stream': single({
    name: 'list of 10,000 x 10 KB by RangeStream, 4 clients',
    args: load('list', 4, 4, ...objects(10_000, 10_000), '--streams'),
    warm: 8,
    total: 24,
    targets: { processorTime: 0.7, rate: 1.5, p99: 0.7 },
  }),
  'k-list-paged': single({
    name: 'pages of 500 out of 50,000 x 1 KB, 4 clients',
    args: load('list-paged', 4, 4, ...objects(50_000, 1000)),
    warm: 100,
    total: 600,
    targets: { processorTime: 0.7 },
  }),
  'k-list-past': single({
    name: 'list of 10,000 x 1 KB at a past revision, 4 clients',
    args: load('list-past', 4, 4, ...objects(10_000, 1000)),
    warm: 8,
    total: 40,
    targets: { processorTime: 0.7 },
  }),
  'k-range-50k': single({
    name: 'range of 100 x 50 KB, 4 clients',
    args: load('list', 4, 4, ...objects(100, 50_000)),
    warm: 50,
    total: 300,
    targets: { processorTime: 0.7 },
  }),
  'k-watch-500': single({
    name: 'an event to 500 watchers with prev_kv',
    args: load('watch', 1, 10, ...objects(500, 1000)),
    warm: 200,
    total: 1000,
    targets: { processorTime: 0.5, p99: 1 },
  }),
  'k-watch-1000': single({
    name: 'an event to 1,000 watchers with prev_kv',
    args: load('watch', 1, 20, ...objects(1000, 1000)),
    warm: 200,
    total: 500,
    targets: { processorTime: 0.5, p99: 1 },
  }),
  'k-watch-10000': single({
    name: 'an event to 10,000 watchers with prev_kv',
    args: load('watch', 1, 100, ...objects(10_000, 1000)),
    warm: 20,
    total: 60,
    targets: { processorTime: 0.5, p99: 1 },
  }),
  'k-lease': single({
    name: 'renewals of 5,000 leases, 100 clients',
    args: load('lease', 100, 10, '--keys', '5000'),
    warm: 10_000,
    total: 30_000,
    targets: {},
  }),
  'k-users': single({
    name: 'a user added and deleted, 4 clients',
    args: load('users', 4, 4),
    warm: 4,
    total: 40,
    targets: { processorTime: 1 },
  }),
  'k-storm-1': storm(1, false),
  'k-storm-1-stream': storm(1, true),
  'k-storm-4': storm(4, false),
  'k-storm-4-stream': storm(4, true),
  'k-cluster': cluster({
    name: 'three members, put 256 B at the leader, 100 clients, after 60,000',
    args: load('put', 100, 10),
    warm: 60_000,
    total: 60_000,
    targets: { processorTime: 0.4, rate: 1.7 },
  }),
};
