import { execFileSync } from 'node:child_process';
import { runLoad } from './load.ts';
import { median } from './report.ts';
import { type CoresRun, type Cost, type Costs, type Operation, operations } from './scale-costs.ts';
import { allUs, coreUs } from './scale-run.ts';
import { BenchServer, type System } from './servers.ts';

const clients = (count: number, conns: number): string[] => [
  '--clients',
  String(count),
  '--conns',
  String(conns),
];
const size = (warm: number, total: number): string[] => ['--warm', String(warm), '--total', String(total)];

/** Arguments of the load generator. The pages are of 50,000 objects; events go to 500 watchers. */
export const loads: Readonly<Record<Operation, readonly string[]>> = {
  put: ['--scenario', 'put', ...clients(100, 10), ...size(60_000, 60_000)],
  update: ['--scenario', 'update', ...clients(50, 10), ...size(20_000, 30_000), '--value-size', '1000'],
  get: [
    '--scenario',
    'get',
    ...clients(100, 10),
    ...size(40_000, 60_000),
    '--keys',
    '10000',
    '--value-size',
    '1000',
  ],
  page: [
    '--scenario',
    'list-paged',
    ...clients(4, 4),
    ...size(200, 600),
    '--keys',
    '50000',
    '--value-size',
    '1000',
  ],
  event: [
    '--scenario',
    'watch',
    ...clients(1, 10),
    ...size(200, 600),
    '--keys',
    '500',
    '--value-size',
    '1000',
  ],
  renewal: ['--scenario', 'lease', ...clients(100, 10), ...size(10_000, 20_000), '--keys', '5000'],
};

export interface Variant {
  readonly system: System;
  readonly servingThreads: number;
}

const flagsOf = ({ servingThreads }: Variant): string[] =>
  servingThreads === 0 ? [] : ['--keystead-serving-threads', String(servingThreads)];

async function costOf(variant: Variant, operation: Operation): Promise<Cost> {
  const server = new BenchServer(variant.system, flagsOf(variant));
  try {
    await server.start();
    const { pid } = server;
    const result = await runLoad(server.endpoint, loads[operation], [[pid]], [{ pid, thread: pid }]);
    return { core: coreUs(result), all: allUs(result) };
  } finally {
    await server.remove();
  }
}

/** Measures all operations of each variant in alternating rounds. Returns medians. */
export async function measureCosts(
  variants: readonly Variant[],
  rounds: number,
  log: (text: string) => void,
): Promise<Costs[]> {
  const measured = variants.map(
    () => new Map<Operation, Cost[]>(operations.map((operation) => [operation, []])),
  );
  for (let round = 0; round < rounds; round += 1)
    for (const operation of operations)
      for (const [at, variant] of variants.entries()) {
        const cost = await costOf(variant, operation);
        measured[at]?.get(operation)?.push(cost);
        log(
          `${operation}, ${variant.system} ${variant.servingThreads}: core ${cost.core.toFixed(1)}, all ${cost.all.toFixed(1)}`,
        );
      }
  const middle = (costs: readonly Cost[], of: keyof Cost): number =>
    Number(median(costs.map((cost) => cost[of])).toPrecision(3));
  return measured.map(
    (each) =>
      Object.fromEntries(
        [...each].map(([operation, costs]) => [
          operation,
          { core: middle(costs, 'core'), all: middle(costs, 'all') },
        ]),
      ) as unknown as Costs,
  );
}

const coresLoads: Readonly<Record<'put' | 'get', readonly string[]>> = {
  put: ['--scenario', 'put', ...clients(100, 10), ...size(20_000, 40_000)],
  get: ['--scenario', 'get', ...clients(100, 10), ...size(20_000, 40_000), '--keys', '10000'],
};

/**
 * Measures rates with the server on the first core and the client on the second, and with both on both cores. The
 * affinity of this process is inherited by the client.
 */
export async function measureCores(
  variants: readonly Variant[],
  log: (text: string) => void,
): Promise<CoresRun[]> {
  const runs: CoresRun[] = [];
  try {
    for (const operation of ['put', 'get'] as const)
      for (const cores of [1, 2])
        for (const variant of variants) {
          const server = new BenchServer(variant.system, flagsOf(variant), cores === 1 ? '0' : '0,1');
          runsOn(cores === 1 ? '1' : '0,1');
          try {
            await server.start();
            const { pid } = server;
            const result = await runLoad(
              server.endpoint,
              coresLoads[operation],
              [[pid]],
              [{ pid, thread: pid }],
            );
            const run = {
              ...variant,
              cores,
              operation,
              rate: Math.round(result.rate),
              all: Number(allUs(result).toFixed(1)),
            };
            runs.push(run);
            log(JSON.stringify(run));
          } finally {
            await server.remove();
          }
        }
  } finally {
    runsOn('0,1');
  }
  return runs;
}

function runsOn(cores: string): void {
  execFileSync('taskset', ['-a', '-p', '-c', cores, String(process.pid)]);
}
