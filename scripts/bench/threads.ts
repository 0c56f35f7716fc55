/**
 * `npm run bench:threads`: processor time per operation of the main thread, raft's thread and the serving threads, for
 * etcd and for members with different numbers of serving threads. It prints a table in Markdown.
 *
 * Options: `--variants etcd,0,1,2,4,4+raft` (`+raft` has raft in a thread of its own, `0@BUNDLE` runs another build),
 * `--operations put,get,tls put`, `--rounds 3`, `--node PATH` (more than one serving thread needs 22.12), `--warm` and
 * `--total` as in the load generator. The figures are medians of the rounds, and the variants alternate within a round.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { runLoad } from './load.ts';
import { median } from './report.ts';
import { type Operation, operations } from './scale-costs.ts';
import { loads } from './scale-operations.ts';
import { allUs } from './scale-run.ts';
import { withCertificates } from './security-scenarios.ts';
import { BenchServer, keysteadCommand } from './servers.ts';

const SECURE = 'tls ';

const { values } = parseArgs({
  options: {
    variants: { type: 'string', default: 'etcd,0,1,2,4,4+raft' },
    operations: { type: 'string', default: [...operations, `${SECURE}put`, `${SECURE}get`].join(',') },
    rounds: { type: 'string', default: '3' },
    node: { type: 'string', default: process.execPath },
    warm: { type: 'string' },
    total: { type: 'string' },
  },
});

/** Microseconds per operation. */
interface Costs {
  readonly main: number;
  readonly raft: number;
  readonly serving: number;
  readonly all: number;
  /** Operations per second. */
  readonly rate: number;
  /** Milliseconds. */
  readonly p99: number;
  /** Resident megabytes after the operations. */
  readonly memory: number;
}

function threadsNamed(pid: number, name: string): { pid: number; thread: number }[] {
  return readdirSync(`/proc/${pid}/task`)
    .filter((thread) => readFileSync(`/proc/${pid}/task/${thread}/comm`, 'utf8').trim() === name)
    .map((thread) => ({ pid, thread: Number(thread) }));
}

function serverOf(variant: string, secured: readonly string[]): BenchServer {
  if (variant === 'etcd') return new BenchServer('etcd', secured);
  const [kind = '', bundle] = variant.split('@');
  const [threads = '', raft] = kind.split('+');
  const flags = [
    `--keystead-serving-threads=${threads}`,
    ...(raft === undefined ? [] : ['--keystead-raft-thread']),
  ];
  return new BenchServer('keystead', [...flags, ...secured], undefined, keysteadCommand(bundle, values.node));
}

function sizes(): string[] {
  const given = Object.entries({ warm: values.warm, total: values.total });
  return given.flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`, value]));
}

async function measure(
  variant: string,
  operation: Operation,
  secured: { readonly flags: readonly string[]; readonly client: readonly string[] },
): Promise<Costs> {
  const server = serverOf(variant, secured.flags);
  try {
    await server.start();
    const { pid } = server;
    const [raft, serving] = [threadsNamed(pid, 'raft'), threadsNamed(pid, 'serving')];
    const args = [...loads[operation], ...sizes(), ...secured.client];
    const load = await runLoad(server.endpoint, args, [[pid]], [{ pid, thread: pid }, ...raft, ...serving]);
    const [main = NaN, ...others] = load.threadUs.map((us) => us / load.operations);
    const sum = (of: readonly number[]): number => of.reduce((all, each) => all + each, 0);
    return {
      main: server.system === 'etcd' ? NaN : main,
      raft: raft.length === 0 ? NaN : sum(others.slice(0, raft.length)),
      serving: serving.length === 0 ? NaN : sum(others.slice(raft.length)),
      all: allUs(load),
      rate: load.rate,
      p99: load.p99,
      memory: server.rss() / 1e6,
    };
  } finally {
    await server.remove();
  }
}

function cell(figures: readonly number[]): string {
  const middle = median([...figures]);
  if (Number.isNaN(middle)) return '-';
  return middle >= 1000
    ? Number(middle.toPrecision(3)).toLocaleString('en')
    : String(Number(middle.toPrecision(3)));
}

const plain = { flags: [], client: [] };
const names = ['main', 'raft', 'serving', 'all', 'rate', 'p99', 'memory'] as const;
console.log(
  '| operation | serving threads | main thread us | raft us | serving us | all us | rate (/s) | p99 ms | resident MB |',
);
console.log(`| --- | --- |${' --: |'.repeat(names.length)}`);
await withCertificates(async (certificates) => {
  for (const name of values.operations.split(',')) {
    const isSecure = name.startsWith(SECURE);
    const operation = (isSecure ? name.slice(SECURE.length) : name) as Operation;
    const variants = values.variants.split(',');
    const measured = new Map<string, Costs[]>(variants.map((variant) => [variant, []]));
    for (let round = 0; round < Number(values.rounds); round++)
      for (const variant of variants)
        measured.get(variant)?.push(await measure(variant, operation, isSecure ? certificates : plain));
    for (const [variant, rounds] of measured)
      console.log(
        `| ${[name, variant, ...names.map((each) => cell(rounds.map((costs) => costs[each])))].join(' | ')} |`,
      );
  }
});
