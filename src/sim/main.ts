/**
 * `npm run sim`: runs many simulations, each with its own seed, on all processors.
 *
 * Options: `--seeds 2000` (how many), `--from 1` (the first one), `--members 3` or `5` (by default the seed decides),
 * `--minutes 5` (simulated, of each), `--jobs` (processes), `--bug 'vote twice'` (a planted one), `--rocksdb`
 * (stores of RocksDB in place of ones in memory), `--raft-thread` (raft in a thread of its own). `--seed N` replays one
 * and prints its trace.
 */
import { fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { plantedBugs, rareBugs } from './planted/index.ts';
import { simulate, type SimulationResult } from './simulation.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '2000' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    members: { type: 'string' },
    minutes: { type: 'string', default: '5' },
    bug: { type: 'string' },
    rocksdb: { type: 'boolean', default: false },
    'raft-thread': { type: 'boolean', default: false },
    jobs: { type: 'string', default: String(availableParallelism()) },
  },
});

/** In each seed that is a multiple of this, disks get stuck as well. */
const STUCK_DISKS_EVERY = 5;
const PROGRESS_MS = 10_000;
const minutes = Number(values.minutes);

interface Report {
  readonly seed: number;
  readonly result: SimulationResult;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function membersOf(seed: number): number {
  return values.members === undefined ? (seed % 3 === 0 ? 5 : 3) : Number(values.members);
}

async function runOne(seed: number): Promise<SimulationResult> {
  const bug = [...plantedBugs, ...rareBugs].find(({ name }) => name === values.bug);
  const stuckDisks = seed % STUCK_DISKS_EVERY === 0;
  const members = membersOf(seed);
  const parts = { rocks: values.rocksdb, raftThread: values['raft-thread'] };
  return simulate({ seed, members, minutes, stuckDisks, ...parts, ...(bug && { bug }) });
}

function replayCommand(seed: number): string {
  const flags = [values.rocksdb ? ' --rocksdb' : '', values['raft-thread'] ? ' --raft-thread' : ''].join('');
  return `npm run sim -- --seed ${seed} --members ${membersOf(seed)} --minutes ${minutes}${flags}`;
}

/** A job runs the seeds that it receives, one after the other. */
function serveJobs(): void {
  process.on('message', (seed: number) => {
    void runOne(seed).then((result) =>
      process.send?.({ seed, result: { ...result, trace: [] } } satisfies Report),
    );
  });
  process.send?.('ready');
}

async function runAll(): Promise<boolean> {
  const total = Number(values.seeds);
  const from = Number(values.from);
  const jobs = Math.min(Number(values.jobs), total);
  const beganMs = performance.now();
  const failures: number[] = [];
  let next = from;
  let done = 0;
  let operations = 0;
  const progress = (): void => {
    const seconds = (performance.now() - beganMs) / 1000;
    const simulatedHours = (done * minutes) / 60;
    print(
      `${done} of ${total} seeds, ${operations} requests, ${simulatedHours.toFixed(1)} simulated hours ` +
        `in ${seconds.toFixed(0)} s, ${failures.length} failed`,
    );
  };
  const timer = setInterval(progress, PROGRESS_MS);
  await Promise.all(
    Array.from(
      { length: jobs },
      () =>
        new Promise<void>((resolve, reject) => {
          const child = fork(fileURLToPath(import.meta.url), process.argv.slice(2), {
            env: { ...process.env, KEYSTEAD_SIM_JOB: '1' },
          });
          const give = (): void => {
            if (next >= from + total) {
              child.kill();
              resolve();
            } else child.send(next++);
          };
          child.on('message', (message: Report | 'ready') => {
            if (message !== 'ready') {
              const { seed, result } = message;
              done += 1;
              operations += result.operations;
              if (result.failure !== undefined) {
                failures.push(seed);
                print(`seed ${seed} FAILED: ${result.failure}\n  replay: ${replayCommand(seed)}`);
              }
            }
            give();
          });
          child.on('error', reject);
          child.on('exit', (code) => {
            if (code !== null && code !== 0) reject(new Error(`a job ended with code ${code}`));
          });
        }),
    ),
  );
  clearInterval(timer);
  progress();
  return failures.length === 0;
}

if (process.env['KEYSTEAD_SIM_JOB'] === '1') serveJobs();
else if (values.seed !== undefined) {
  const { trace, failure, ...figures } = await runOne(Number(values.seed));
  print(trace.join('\n'));
  print(JSON.stringify(figures));
  print(failure ?? 'nothing was wrong');
  process.exitCode = failure === undefined ? 0 : 1;
} else process.exitCode = (await runAll()) ? 0 : 1;
