import { reasonOf } from '../../lib/text.ts';
import { CLIENT_USAGE, type ClientSettings, isJsonWanted, parseClient } from '../client/client-flags.ts';
import { EndpointClient } from '../client/endpoint-client.ts';
import { Progress } from '../progress.ts';
import { randomInt } from '../random-int.ts';
import { type Measured, percentile } from './measure.ts';
import { type BenchSettings, type Operation, operations, removeKeys, runOperation } from './operations.ts';

const USAGE = `Usage: keystead bench <operation> [options]

Puts load on a cluster of Keystead or etcd and prints the rate and the times of the requests. The operations are:

${Object.entries(operations)
  .map(([name, what]) => `  ${name.padEnd(30)}  ${what}`)
  .join('\n')}

It writes below a prefix of its own and removes its keys at the end; the history stays until the next compaction. Other
clients of the cluster notice the load.

  --clients                       Requests that wait for a response at the same time (default "16")
  --connections                   Connections, spread over the endpoints (default "4")
  --total                         Number of requests; of a watch, number of puts (default "10000"; list: "20")
  --rate                          Requests begun per second (default: as fast as the responses come)
  --keys                          Different keys (default "10000")
  --value-size                    Bytes of a value (default "256")
  --txn-ops                       Puts of one transaction (default "8")
  --page-size                     Keys of one page of a list; 0 for all at once (default "500")
  --watches                       Watches of all keys, of a watch (default "16")
  --serializable                  Reads of one member, which may be old
  --prefix                        First part of the keys, with a slash at its end (default "keystead-bench/<number>/")
  --keep                          Do not remove the keys
  -o, --output                    text or json (default "text")
${CLIENT_USAGE}
Exit code 0: all requests succeeded; 1: some failed, or no endpoint answers; 2: usage error.
`;

/** The flags of the command, for `parseArgs`. */
export const benchFlags = {
  clients: { type: 'string', default: '16' },
  connections: { type: 'string', default: '4' },
  total: { type: 'string' },
  rate: { type: 'string', default: '0' },
  keys: { type: 'string', default: '10000' },
  'value-size': { type: 'string', default: '256' },
  'txn-ops': { type: 'string', default: '8' },
  'page-size': { type: 'string', default: '500' },
  watches: { type: 'string', default: '16' },
  serializable: { type: 'boolean', default: false },
  prefix: { type: 'string' },
  keep: { type: 'boolean', default: false },
  output: { type: 'string', short: 'o', default: 'text' },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

interface BenchOptions {
  readonly client: ClientSettings;
  readonly connections: number;
  readonly clients: number;
  readonly total: number;
  readonly rate: number;
  readonly settings: Omit<BenchSettings, 'clients' | 'load'>;
  readonly isKept: boolean;
  readonly isJson: boolean;
}

/** The result of a run. */
interface BenchReport {
  readonly operation: Operation;
  /** Requests that succeeded; of a watch, events that arrived. */
  readonly count: number;
  readonly failures: number;
  readonly reasons: Readonly<Record<string, number>>;
  readonly seconds: number;
  readonly perSecond: number;
  readonly latencyMs: Readonly<Record<'mean' | 'p50' | 'p90' | 'p99' | 'max', number>>;
}

/** The `bench` subcommand. Returns the exit code. */
export async function runBench(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  out: (text: string) => void,
  err: (text: string) => void,
): Promise<number> {
  let options: BenchOptions | undefined;
  try {
    options = parse(args, environment);
  } catch (error) {
    err(`keystead bench: ${reasonOf(error)}\n${USAGE}`);
    return 2;
  }
  if (options === undefined) {
    out(USAGE);
    return 0;
  }
  const stopped = new AbortController();
  const stop = (): void => stopped.abort();
  process.once('SIGINT', stop);
  try {
    const report = await run(options, stopped.signal, err);
    out(options.isJson ? JSON.stringify(report) : describe(report));
    return report.failures === 0 ? 0 : 1;
  } catch (error) {
    err(`keystead bench: ${reasonOf(error)}`);
    return 1;
  } finally {
    process.removeListener('SIGINT', stop);
  }
}

async function run(
  { client, connections, clients: parallel, total, rate, settings, isKept }: BenchOptions,
  signal: AbortSignal,
  err: (text: string) => void,
): Promise<BenchReport> {
  const { endpoints } = client;
  const progress = new Progress();
  const clients = Array.from(
    { length: connections },
    (_, at) => new EndpointClient(endpoints[at % endpoints.length] ?? '', client),
  );
  try {
    const load = {
      clients: parallel,
      total,
      rate,
      signal,
      onProgress: (done: number) => progress.show(settings.operation, 'requests', done, total),
    };
    const bench: BenchSettings = { ...settings, clients, load };
    const measured = await runOperation(bench).finally(async () => {
      progress.end();
      if (isKept) return;
      await removeKeys(bench).catch((error: unknown) =>
        err(`keystead bench: the keys below ${settings.prefix} were not removed: ${reasonOf(error)}`),
      );
    });
    return reportOf(settings.operation, measured);
  } finally {
    for (const each of clients) each.close();
  }
}

function reportOf(operation: Operation, { timesMs, failures, reasons, seconds }: Measured): BenchReport {
  const sorted = [...timesMs].sort((a, b) => a - b);
  const rounded = (ms: number): number => Math.round(ms * 1000) / 1000;
  const sum = sorted.reduce((all, ms) => all + ms, 0);
  return {
    operation,
    count: sorted.length,
    failures,
    reasons: Object.fromEntries(reasons),
    seconds: rounded(seconds),
    perSecond: Math.round((sorted.length / Math.max(seconds, 1e-9)) * 10) / 10,
    latencyMs: {
      mean: rounded(sorted.length === 0 ? 0 : sum / sorted.length),
      p50: rounded(percentile(sorted, 0.5)),
      p90: rounded(percentile(sorted, 0.9)),
      p99: rounded(percentile(sorted, 0.99)),
      max: rounded(sorted.at(-1) ?? 0),
    },
  };
}

function describe({
  operation,
  count,
  failures,
  reasons,
  seconds,
  perSecond,
  latencyMs,
}: BenchReport): string {
  const { mean, p50, p90, p99, max } = latencyMs;
  const noun = operation === 'watch' ? 'events' : 'requests';
  const lines = [
    `${operation}: ${count} ${noun} in ${seconds.toFixed(2)} s, ${perSecond.toFixed(1)} per second`,
    `latency in ms: mean ${mean.toFixed(2)}, p50 ${p50.toFixed(2)}, p90 ${p90.toFixed(2)}, p99 ${p99.toFixed(2)}, max ${max.toFixed(2)}`,
  ];
  if (failures > 0) lines.push(`${failures} failed:`);
  for (const [reason, times] of Object.entries(reasons)) lines.push(`  ${times} times: ${reason}`);
  return lines.join('\n');
}

/** @returns undefined for --help */
function parse(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): BenchOptions | undefined {
  const { settings: client, values, positionals } = parseClient(args, environment, benchFlags);
  if (values['help'] === true) return undefined;
  const [operation, extra] = positionals;
  if (operation === undefined || !isOperation(operation))
    throw new Error(`give one operation: ${Object.keys(operations).join(', ')}`);
  if (extra !== undefined) throw new Error(`unexpected argument ${extra}`);
  const isJson = isJsonWanted(values['output']);
  const { prefix = `keystead-bench/${randomInt(1_000_000_000)}/` } = values;
  if (typeof prefix !== 'string' || !/^.+\/$/s.test(prefix))
    throw new Error('--prefix must end with a slash');
  const number = (name: string, least: number, most: number, fallback = ''): number => {
    const text = values[name] ?? fallback;
    const value = typeof text === 'string' && /^\d+$/.test(text) ? Number(text) : NaN;
    if (!(value >= least && value <= most))
      throw new Error(`--${name} must be a number from ${least} to ${most}`);
    return value;
  };
  return {
    client,
    connections: number('connections', 1, 1_000),
    clients: number('clients', 1, 10_000),
    total: number('total', 1, 100_000_000, operation === 'list' ? '20' : '10000'),
    rate: number('rate', 0, 1_000_000),
    settings: {
      operation,
      prefix,
      keys: number('keys', 1, 10_000_000),
      valueBytes: number('value-size', 0, 1_000_000),
      txnOps: number('txn-ops', 1, 100_000),
      pageKeys: number('page-size', 0, 10_000_000),
      watches: number('watches', 1, 100_000),
      isSerializable: values['serializable'] === true,
    },
    isKept: values['keep'] === true,
    isJson,
  };
}

function isOperation(name: string): name is Operation {
  return Object.hasOwn(operations, name);
}
