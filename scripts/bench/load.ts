import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { type ProcessorTime, ranBetween, type ThreadTimes, threadTimes } from './processor-time.ts';
import { requirePeer } from '../../e2e/harness/paths.ts';

/** The figures of `scripts/bench/load-generator`; latencies in ms. */
export interface LoadFigures {
  readonly operations: number;
  readonly seconds: number;
  readonly rate: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  readonly extra?: Readonly<Record<string, number>>;
}

export interface LoadResult extends LoadFigures {
  /** Processor time of each group of processes, in the given order. */
  readonly processorTime: readonly ProcessorTime[];
  /** Processor time of each of the given threads, in microseconds. */
  readonly threadUs: readonly number[];
}

/**
 * Runs a scenario of the load generator. The processor time of each group of processes in `pids` is read directly before
 * and after the measured part.
 *
 * @param during what runs beside the measured part. Its end is the second line of input, which ends `steady-put`.
 */
export async function runLoad(
  endpoint: string,
  args: readonly string[],
  pids: readonly (readonly number[])[],
  threads: readonly { readonly pid: number; readonly thread: number }[] = [],
  during?: () => Promise<unknown>,
): Promise<LoadResult> {
  const child = spawn(requirePeer('load'), ['--endpoints', endpoint, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<unknown> => {
    const { value, done } = await lines.next();
    if (done === true) throw new Error(`the load generator ended early: load ${args.join(' ')}`);
    return JSON.parse(value);
  };
  await next();
  const before = pids.map(threadTimes);
  child.stdin.write('\n');
  if (during !== undefined) {
    await during();
    child.stdin.write('\n');
  }
  const figures = (await next()) as LoadFigures;
  const after = pids.map(threadTimes);
  await ended;
  return {
    ...figures,
    threadUs: threads.map(({ pid, thread }) => threadUs(before, after, `${pid}/${thread}`)),
    processorTime: pids.map((_, at) => ranBetween(before[at] ?? new Map(), after[at] ?? new Map())),
  };
}

function threadUs(before: readonly ThreadTimes[], after: readonly ThreadTimes[], thread: string): number {
  const ran = (times: readonly ThreadTimes[]): number =>
    times.reduce((all, each) => all + (each.get(thread) ?? 0), 0);
  return (ran(after) - ran(before)) / 1000;
}
