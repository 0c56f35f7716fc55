import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { type ProcessorTime, ranBetween, threadTimes } from './processor-time.ts';
import { peer } from './servers.ts';

/** What `scripts/bench/load-generator` reports; latencies in ms. */
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
  /** Of each group of processes that was asked for, in its order. */
  readonly processorTime: readonly ProcessorTime[];
}

/**
 * Runs a scenario of the load generator. Processor time is read right before and right after its measured part,
 * for each group of processes in `pids`.
 */
export async function runLoad(
  endpoint: string,
  args: readonly string[],
  pids: readonly (readonly number[])[],
): Promise<LoadResult> {
  const child = spawn(peer('load'), ['--endpoints', endpoint, ...args], {
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
  const figures = (await next()) as LoadFigures;
  const after = pids.map(threadTimes);
  await ended;
  return {
    ...figures,
    processorTime: pids.map((_, at) => ranBetween(before[at] ?? new Map(), after[at] ?? new Map())),
  };
}
