import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Etcdctl } from '../../e2e/harness/etcdctl.ts';
import { requirePeer } from '../../e2e/harness/paths.ts';

const run = promisify(execFile);

/** The figures of etcd's benchmark client; latencies in ms. */
export interface Measured {
  readonly rate: number;
  readonly p50: number;
  readonly p99: number;
}

function number(text: string, pattern: RegExp): number {
  const found = pattern.exec(text)?.[1];
  if (found === undefined)
    throw new Error(`the benchmark client printed no ${pattern.source}:\n${text.slice(-2000)}`);
  return Number(found);
}

/** Returns seconds. The client omits percentiles that are zero: an event may arrive before the response of its put. */
function percentile(report: string, percent: number): number {
  const found = new RegExp(`${percent}% in ([\\d.e+-]+) secs`).exec(report)?.[1];
  return found === undefined ? 0 : Number(found);
}

function parse(report: string): Measured {
  return {
    rate: number(report, /Requests\/sec:\s+([\d.e+]+)/),
    p50: 1000 * percentile(report, 50),
    p99: 1000 * percentile(report, 99),
  };
}

/** Runs etcd's benchmark client. Returns one result for each report that it prints, in the same order. */
export async function benchmark(endpoint: string, args: readonly string[]): Promise<Measured[]> {
  const { stdout } = await run(requirePeer('benchmark'), ['--endpoints', endpoint, '--precise', ...args], {
    maxBuffer: 2 ** 28,
  });
  const reports = stdout.split(/(?=Summary:)/).filter((part) => part.includes('Requests/sec'));
  if (reports.length === 0)
    throw new Error(`the benchmark client printed no summary:\n${stdout.slice(-2000)}`);
  return reports.map(parse);
}

/** Runs etcdctl and returns what it printed. */
export function etcdctl(endpoint: string, args: readonly string[]): Promise<string> {
  return new Etcdctl(endpoint).ok(args);
}

/** Runs etcdctl while `work` runs. Resolves when both are done. */
export async function duringEtcdctl<T>(
  endpoint: string,
  args: readonly string[],
  work: Promise<T>,
): Promise<T> {
  const ctl = new Etcdctl(endpoint, ['--command-timeout=120s']);
  const [result] = await Promise.all([work, ctl.run(args, { timeoutMs: 130_000 })]);
  return result;
}
