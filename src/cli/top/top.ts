import { setTimeout as sleep } from 'node:timers/promises';
import { reasonOf } from '../../lib/text.ts';
import { CLIENT_USAGE, type ClientSettings, parseClient } from '../client/client-flags.ts';
import { type MetricSample, readMetrics } from '../client/read-metrics.ts';
import {
  type SortOrder,
  sortOrders,
  sortRows,
  tableOf,
  type Usage,
  usageOf,
  withRates,
} from './usage-table.ts';

/** Of the screen: the line of the endpoints, the header, the sums and the cursor. */
const OTHER_LINES = 6;
const CLEAR = '\x1b[H\x1b[J';

const USAGE = `Usage: keystead top [options]

Shows keys, bytes, writes and watches by prefix, the largest first. In a terminal the table is refreshed until Ctrl-C;
otherwise it is printed once. The server must run with --keystead-usage-prefixes, for example /registry/*. The figures
are those of the metrics at the endpoints: the watches are those of the given members only.

  --sort                          bytes, keys, writes or watches (default "bytes")
  --interval                      Seconds between refreshes (default "2")
  --limit                         Rows (default: what fits the terminal; otherwise all)
  --once                          Print the table once in a terminal too
  -o, --output                    table or json (default "table")
${CLIENT_USAGE}
Exit code 0: printed; 1: no endpoint answers, or none counts by prefix; 2: usage error.
`;

/** The flags of the command, for `parseArgs`. */
export const topFlags = {
  sort: { type: 'string', default: 'bytes' },
  interval: { type: 'string', default: '2' },
  limit: { type: 'string', default: '' },
  once: { type: 'boolean', default: false },
  output: { type: 'string', short: 'o', default: 'table' },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

interface TopOptions {
  readonly client: ClientSettings;
  readonly sort: SortOrder;
  readonly intervalMs: number;
  readonly limit: number | undefined;
  readonly isJson: boolean;
  readonly isOnce: boolean;
}

/** What a command knows of the terminal that it writes to. */
export interface Terminal {
  readonly isTTY: boolean;
  readonly rows: number;
}

/** The answers of all endpoints. */
interface Round {
  readonly usage: Usage | undefined;
  readonly failures: readonly string[];
  readonly atMs: number;
}

/** The `top` subcommand. Returns the exit code. */
export async function runTop(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  out: (text: string) => void,
  err: (text: string) => void,
  terminal: Terminal,
): Promise<number> {
  let options: TopOptions | undefined;
  try {
    options = parse(args, environment);
  } catch (error) {
    err(`keystead top: ${reasonOf(error)}\n${USAGE}`);
    return 2;
  }
  if (options === undefined) {
    out(USAGE);
    return 0;
  }
  const first = await ask(options.client);
  if (first.usage === undefined) {
    for (const failure of first.failures) err(`keystead top: ${failure}`);
    if (first.failures.length < options.client.endpoints.length)
      err(
        'keystead top: no endpoint counts by prefix: start the members with --keystead-usage-prefixes=/registry/*',
      );
    return 1;
  }
  if (options.isJson) {
    out(
      JSON.stringify({
        complete: first.usage.isComplete,
        prefixes: sortRows(first.usage.rows, options.sort),
      }),
    );
    return 0;
  }
  if (options.isOnce || !terminal.isTTY) {
    out(tableText(first, options, Number.MAX_SAFE_INTEGER));
    return 0;
  }
  return refresh(first, options, out, terminal);
}

/** Refreshes the table until the process is interrupted. */
async function refresh(
  first: Round,
  options: TopOptions,
  out: (text: string) => void,
  terminal: Terminal,
): Promise<number> {
  const ended = new AbortController();
  process.once('SIGINT', () => ended.abort());
  for (let [round, before] = [first, undefined as Round | undefined]; ;) {
    const fits = Math.max(3, terminal.rows - OTHER_LINES - round.failures.length);
    out(CLEAR + tableText(rated(round, before), options, fits));
    await sleep(options.intervalMs, undefined, { signal: ended.signal }).catch(() => undefined);
    if (ended.signal.aborted) return 0;
    [before, round] = [round, await ask(options.client)];
  }
}

async function ask(client: ClientSettings): Promise<Round> {
  const failures: string[] = [];
  const answers = await Promise.all(
    client.endpoints.map((endpoint) =>
      readMetrics(endpoint, client).then(
        ({ samples }) => samples,
        (error: unknown): readonly MetricSample[] => {
          failures.push(`${endpoint}: ${reasonOf(error)}`);
          return [];
        },
      ),
    ),
  );
  return { usage: usageOf(answers), failures, atMs: performance.now() };
}

function rated(round: Round, before: Round | undefined): Round {
  if (round.usage === undefined || before?.usage === undefined) return round;
  const rows = withRates(round.usage.rows, before.usage.rows, round.atMs - before.atMs);
  return { ...round, usage: { ...round.usage, rows } };
}

function tableText({ usage, failures }: Round, options: TopOptions, fits: number): string {
  const lines = failures.map((failure) => `no answer from ${failure}`);
  if (usage === undefined) return lines.join('\n');
  if (!usage.isComplete) lines.push('keys and bytes are still being counted after a start');
  return [...lines, ...tableOf(sortRows(usage.rows, options.sort), options.limit ?? fits)].join('\n');
}

/** @returns undefined for --help */
function parse(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): TopOptions | undefined {
  const { settings, values, positionals } = parseClient(args, environment, topFlags);
  if (values['help'] === true) return undefined;
  const [extra] = positionals;
  if (extra !== undefined) throw new Error(`unexpected argument ${extra}`);
  const { output, interval, limit } = values;
  const sort = sortOrders.find((order) => order === values['sort']);
  if (sort === undefined) throw new Error(`--sort must be one of ${sortOrders.join(', ')}`);
  if (output !== 'table' && output !== 'json') throw new Error('--output must be table or json');
  const seconds = Number(interval);
  if (!(seconds >= 0.1 && seconds <= 86_400))
    throw new Error('--interval must be a number of seconds, at least 0.1');
  if (typeof limit !== 'string' || !/^([1-9]\d{0,8})?$/.test(limit))
    throw new Error('--limit must be a positive number');
  return {
    client: settings,
    sort,
    intervalMs: seconds * 1000,
    limit: limit === '' ? undefined : Number(limit),
    isJson: output === 'json',
    isOnce: values['once'] === true,
  };
}
