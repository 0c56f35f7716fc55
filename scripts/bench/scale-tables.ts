import { type Measured, operations, type StoreRun } from './scale-costs.ts';
import {
  at,
  bestThreads,
  type Cluster,
  clusterLoad,
  coresUsed,
  etcdRate,
  figureOf,
  type Line,
  lineFromOne,
  lineThrough,
  mostNodes,
  operationNames,
  PLANNED_SHARE,
  rateAlone,
  relistSeconds,
  runOf,
  serialShare,
  servingUs,
  speedupOfTwo,
} from './scale-model.ts';

const CORES = [1, 2, 4, 8, 16, 32];
const NODES = [1000, 2000, 5000, 10_000, 15_000];
const MILLIONS = [1, 5, 10, 20, 50];
const GIBIBYTES = [8, 16, 32, 64];
const HOUR = 3600;

/** 30 pods per node that live 4 hours, and three apiservers which all watch this member. */
const STEADY: Cluster = { nodes: 0, podsPerNode: 30, podSeconds: 4 * HOUR, apiservers: 3 };
/** Ten times as many pods start and end. */
const BUSY: Cluster = { ...STEADY, podSeconds: 0.4 * HOUR };

const SMALL = 1_000_000;

function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string[] {
  const line = (cells: readonly (string | number)[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)];
}

/** Three digits at most, with separators for thousands. */
function short(value: number): string {
  if (!Number.isFinite(value)) return '-';
  const rounded = Number(value.toPrecision(Math.abs(value) >= 100_000 ? 3 : 2));
  if (Math.abs(value) < 100) return String(rounded);
  return Number(value.toPrecision(3)).toLocaleString('en-US');
}

const percent = (share: number): string => `${short(share * 100)} %`;

/** Zero if the rates on one and two cores were not measured. */
function serialOf(measured: Measured, operation: string): number {
  const speedup = speedupOfTwo(measured, operation === 'get' || operation === 'page' ? 'get' : 'put');
  return Number.isNaN(speedup) ? 0 : serialShare(speedup);
}

function costs(measured: Measured): string[] {
  return table(
    [
      'operation',
      'etcd',
      'Keystead: main thread',
      'all threads',
      'one serving thread: main thread',
      'serving',
      'all',
    ],
    operations.map((operation) => {
      const [etcd, alone, serving] = [
        measured.etcd[operation],
        measured.keystead[operation],
        measured.serving[operation],
      ];
      const times = [etcd.all, alone.core, alone.all, serving.core, servingUs(alone, serving), serving.all];
      return [operationNames[operation], ...times.map(short)];
    }),
  );
}

function rates(measured: Measured): string[] {
  const rows = operations.flatMap((operation) => {
    const [etcd, alone, serving] = [
      measured.etcd[operation],
      measured.keystead[operation],
      measured.serving[operation],
    ];
    const name = operationNames[operation];
    const serial = serialOf(measured, operation);
    return [
      [
        name,
        'etcd',
        ...CORES.map((cores) => {
          const { low, high } = etcdRate(etcd, cores, serial);
          return short(low) === short(high) ? short(high) : `${short(low)} to ${short(high)}`;
        }),
      ],
      ['', 'Keystead', ...CORES.map((cores) => short(rateAlone(alone, cores)))],
      [
        '',
        'with serving threads',
        ...CORES.map((cores) => {
          const { threads, rate } = bestThreads(alone, serving, cores);
          return `${short(rate)} (${threads})`;
        }),
      ],
    ];
  });
  return table(
    ['operation', 'server', ...CORES.map((cores) => `${cores} ${cores === 1 ? 'core' : 'cores'}`)],
    rows,
  );
}

function clusters(measured: Measured): string[] {
  const rows = [STEADY, BUSY].flatMap((cluster) =>
    NODES.map((nodes) => {
      const load = clusterLoad({ ...cluster, nodes });
      return [
        short(nodes),
        short(load.podsPerSecond),
        short(load.updates + load.puts),
        short(load.gets),
        short(load.watchEvents),
        percent(coresUsed(load, measured.keystead, 'core')),
        short(coresUsed(load, measured.keystead, 'all')),
        percent(coresUsed(load, measured.serving, 'core')),
        short(coresUsed(load, measured.etcd, 'all')),
      ];
    }),
  );
  return table(
    [
      ...['nodes', 'new pods/s', 'writes/s', 'gets/s', 'watch events/s', 'main thread', 'cores in all'],
      ...['main thread, serving threads', 'cores of etcd'],
    ],
    rows,
  );
}

function limits(measured: Measured): string[] {
  const rows = (
    [
      ['30 pods per node that live 4 hours', STEADY],
      ['the same, pods live 24 minutes', BUSY],
    ] as const
  ).map(([name, cluster]) => [
    name,
    short(mostNodes(cluster, PLANNED_SHARE, (load) => coresUsed(load, measured.keystead, 'core'))),
    short(mostNodes(cluster, PLANNED_SHARE, (load) => coresUsed(load, measured.serving, 'core'))),
    short(mostNodes(cluster, PLANNED_SHARE * 2, (load) => coresUsed(load, measured.etcd, 'all'))),
    short(mostNodes(cluster, PLANNED_SHARE * 8, (load) => coresUsed(load, measured.etcd, 'all'))),
  ]);
  return table(['cluster', 'Keystead', 'with serving threads', 'etcd, 2 cores', 'etcd, 8 cores'], rows);
}

function relists(measured: Measured): string[] {
  return table(
    ['nodes', 'objects', 'Keystead: main thread (s)', 'etcd: all threads (s)'],
    NODES.map((nodes) => {
      const load = clusterLoad({ ...STEADY, nodes });
      return [
        short(nodes),
        short(load.objects),
        short(relistSeconds(load, measured.keystead, 'core')),
        short(relistSeconds(load, measured.etcd, 'all')),
      ];
    }),
  );
}

/** The figures of the runs in the order of the run, with their names in the table. */
const figures: Readonly<Record<string, string>> = {
  loadRate: 'load in transactions of 100 (keys/s)',
  loadCoreUs: 'load: main thread (us per key)',
  loadAllUs: 'load: all threads (us per key)',
  loadedDiskMb: 'disk after the load (MB)',
  loadedMb: 'memory after the load (MB)',
  loadedPeakMb: 'largest memory during the load (MB)',
  pageRate: 'lists of 500 from a random key, 8 clients (/s)',
  pageCoreUs: 'list of 500: main thread (us)',
  pageAllUs: 'list of 500: all threads (us)',
  countMs: 'count of all keys, median (ms)',
  countAllUs: 'count of all keys: all threads (us)',
  getCoreUs: 'get of a random key: main thread (us)',
  getAllUs: 'get of a random key: all threads (us)',
  putCoreUs: 'put to a random key: main thread (us)',
  putAllUs: 'put to a random key: all threads (us)',
  usedMb: 'memory after these (MB)',
  usedPeakMb: 'largest memory until then (MB)',
  diskMb: 'disk after a stop (MB)',
  restartMs: 'start to ready after SIGTERM (ms)',
  restartCpuMs: 'processor time of that start (ms)',
  restartMb: 'memory 3 s later (MB)',
  killRestartMs: 'start to ready after kill -9 (ms)',
  killRestartCpuMs: 'processor time of that start (ms)',
  readMb: 'memory after 200 lists of 500 (MB)',
  changes: 'keys that are changed then',
  changeAllUs: 'changes: all threads (us per key)',
  quietP99: 'p99 of 1,000 puts/s (ms)',
  compactionS: 'compaction of these revisions with 1,000 puts/s (s)',
  compactionCpuS: 'processor time meanwhile, with the puts (s)',
  compactionP99: 'p99 of the puts meanwhile (ms)',
  compactionMax: 'slowest put meanwhile (ms)',
  compactedMb: 'memory after it (MB)',
  compactedDiskMb: 'disk after it (MB)',
  snapshotS: 'snapshot to a file with 1,000 puts/s (s)',
  snapshotMb: 'size of the snapshot (MB)',
  snapshotP99: 'p99 of the puts meanwhile (ms)',
  snapshotMax: 'slowest put meanwhile (ms)',
  snapshotPeakMb: 'largest memory until then (MB)',
  finalRestartMs: 'start to ready at the end (ms)',
};

function runs(measured: Measured): string[] {
  const title = ({ system, keys }: StoreRun): string =>
    `${system === 'etcd' ? 'etcd' : 'Keystead'}, ${short(keys / 1e6)}M`;
  const systems = ['etcd', 'keystead'] as const;
  const chosen = systems.flatMap((system) => measured.runs.filter((run) => run.system === system));
  return table(
    ['figure', ...chosen.map(title)],
    Object.entries(figures).map(([name, text]) => [
      text,
      ...chosen.map((run) => short(run.figures[name] ?? NaN)),
    ]),
  );
}

function required(run: StoreRun | undefined): StoreRun {
  if (run === undefined) throw new Error('scale-costs.json needs runs of a million keys');
  return run;
}

/**
 * What does not depend on the number of keys, in predictions from the run of a million: an idle member, its start, the
 * caches of values. Other figures are proportional to the keys.
 */
const fixed: Readonly<Record<string, number>> = {
  loadedMb: 250,
  usedMb: 400,
  restartMs: 150,
  restartCpuMs: 150,
  restartMb: 80,
};

/** Costs that are predicted not to depend on the number of keys. */
const constant = ['loadCoreUs', 'loadAllUs', 'pageAllUs', 'countMs', 'getAllUs', 'putAllUs'];
const growing = [
  ...['loadedMb', 'loadedDiskMb', 'usedMb', 'diskMb', 'restartMs', 'restartCpuMs', 'restartMb'],
  ...['snapshotS', 'snapshotMb'],
];

function predictionOf(small: StoreRun, name: string): Line {
  if (constant.includes(name)) return { fixed: figureOf(small, name), perMillion: 0 };
  return lineFromOne(small, name, fixed[name] ?? 0);
}

/** The largest run of Keystead that has a figure, if it is larger than the small one. */
function largest({ runs: all }: Measured, name: string): StoreRun | undefined {
  return all.findLast((run) => run.system === 'keystead' && run.keys > SMALL && name in run.figures);
}

/** A figure that no larger run has grows like another one, which is measured earlier in a run. */
const growsLike: Readonly<Record<string, string>> = {
  usedMb: 'loadedMb',
  restartMb: 'loadedMb',
  diskMb: 'loadedDiskMb',
};

/** A line through the runs of Keystead, or the prediction from the small one where there is no other. */
function lineOf(measured: Measured, name: string): Line {
  const small = required(runOf(measured, 'keystead', SMALL));
  const large = largest(measured, name);
  if (constant.includes(name)) return predictionOf(small, name);
  if (large !== undefined) return lineThrough(small, large, name);
  const other = growsLike[name];
  const larger = other === undefined ? undefined : largest(measured, other);
  if (other === undefined || larger === undefined) return predictionOf(small, name);
  const { perMillion } = lineThrough(small, larger, other);
  return { fixed: figureOf(small, name) - perMillion, perMillion };
}

function check(measured: Measured): string[] {
  const small = required(runOf(measured, 'keystead', SMALL));
  const rows = [...constant, ...growing].flatMap((name) => {
    const large = largest(measured, name);
    if (large === undefined) return [];
    const [expected, found] = [at(predictionOf(small, name), large.keys), figureOf(large, name)];
    const keys = `${short(large.keys / 1e6)}M`;
    return [
      [
        figures[name] ?? name,
        short(figureOf(small, name)),
        keys,
        ...[expected, found, found / expected].map(short),
      ],
    ];
  });
  return table(['figure', '1M', 'larger run', 'predicted', 'measured', 'measured/predicted'], rows);
}

function stores(measured: Measured): string[] {
  const etcd = required(runOf(measured, 'etcd', SMALL));
  const row = (title: string, name: string, divisor = 1): string[] => [
    title,
    ...MILLIONS.map((millions) => {
      const lines = [lineOf(measured, name), lineFromOne(etcd, name, 0)];
      const [ours = NaN, theirs = NaN] = lines.map((line) => at(line, millions * 1e6) / divisor);
      return `${short(ours)} (${short(theirs)})`;
    }),
  ];
  return table(
    ['keys of 512 B', ...MILLIONS.map((millions) => `${millions}M`)],
    [
      row('disk (GB)', 'diskMb', 1000),
      row('memory under load (GB)', 'usedMb', 1000),
      row('memory after a restart (GB)', 'restartMb', 1000),
      row('snapshot (s)', 'snapshotS'),
      row('list of 500 (ms of processor time)', 'pageAllUs', 1000),
    ],
  );
}

/** Bytes of a stored object beside its value: the key and the numbers of its KeyValue. */
const OBJECT_OVERHEAD = 60;
const VALUE_SIZES = [512, 2048, 8192];

function sizes(measured: Measured): string[] {
  const millionBytes = 1e6 * (512 + OBJECT_OVERHEAD);
  const perByte = (name: string): number => lineOf(measured, name).perMillion / millionBytes;
  const memory = lineOf(measured, 'restartMb');
  const rows = GIBIBYTES.flatMap((gibibytes) =>
    VALUE_SIZES.map((size) => {
      const bytes = gibibytes * 2 ** 30;
      const keys = bytes / (size + OBJECT_OVERHEAD);
      return [
        `${gibibytes} GiB`,
        `${size} B`,
        `${short(keys / 1e6)}M`,
        short((bytes * perByte('diskMb')) / 1000),
        short(at(memory, keys) / 1000),
        short(bytes * perByte('snapshotS')),
      ];
    }),
  );
  return table(['store', 'values', 'keys', 'disk (GB)', 'memory after a restart (GB)', 'snapshot (s)'], rows);
}

function cores({ cores: measured }: Measured): string[] {
  return table(
    ['operation', 'server', 'cores', 'rate (/s)', 'all threads (us)', 'cores used'],
    measured.map(({ operation, system, servingThreads, cores: count, rate, all }) => [
      operation,
      system === 'etcd' ? 'etcd' : `Keystead, ${servingThreads} serving threads`,
      count,
      short(rate),
      short(all),
      short((rate * all) / 1e6),
    ]),
  );
}

/** The tables by their place in the page. */
export function scaleTables(measured: Measured): Readonly<Record<string, readonly string[]>> {
  return {
    costs: costs(measured),
    cores: cores(measured),
    rates: rates(measured),
    clusters: clusters(measured),
    limits: limits(measured),
    relists: relists(measured),
    runs: runs(measured),
    check: check(measured),
    stores: stores(measured),
    sizes: sizes(measured),
  };
}
