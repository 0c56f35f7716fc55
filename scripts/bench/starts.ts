/*
 * `npm run bench:starts [-- --starts 20]`: what a start costs, from the command to being ready for clients, on a data
 * directory that exists already. etcd, Keystead and an empty program of Node.js start in turns. Prints the processor time
 * of all threads and the time that passed, as the median and the least of all starts.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { programEnvironment } from '../../e2e/harness/program.ts';
import { threadTimes } from './processor-time.ts';
import { requirePeer } from '../../e2e/harness/paths.ts';
import { freePort } from '../../e2e/harness/ports.ts';
import { keysteadCommand, type System, systems } from './servers.ts';

const { values } = parseArgs({ options: { starts: { type: 'string', default: '20' } } });
const READY = 'ready to serve client requests';

/** What Node.js takes by itself. */
const EMPTY = [process.execPath, '--eval', `console.error('${READY}'); setInterval(() => {}, 1e6)`];

interface Cost {
  readonly processorMs: number;
  readonly passedMs: number;
}

class Place {
  readonly #directory = mkdtempSync(join(tmpdir(), 'keystead-starts-'));
  readonly #command: readonly string[];

  private constructor(command: readonly string[], urls?: { readonly client: string; readonly peer: string }) {
    this.#command =
      urls === undefined
        ? command
        : [
            ...command,
            ...['--name=m0', `--data-dir=${join(this.#directory, 'data')}`],
            ...[`--listen-client-urls=${urls.client}`, `--advertise-client-urls=${urls.client}`],
            ...[`--listen-peer-urls=${urls.peer}`, `--initial-advertise-peer-urls=${urls.peer}`],
            `--initial-cluster=m0=${urls.peer}`,
          ];
  }

  static async prepare(system: System | 'empty'): Promise<Place> {
    if (system === 'empty') return new Place(EMPTY);
    const url = async (): Promise<string> => `http://127.0.0.1:${await freePort()}`;
    const place = new Place(system === 'etcd' ? [requirePeer('etcd')] : keysteadCommand(), {
      client: await url(),
      peer: await url(),
    });
    // The first start makes the data directory.
    await place.start();
    return place;
  }

  /** Starts, waits until clients are served, and stops again. */
  async start(): Promise<Cost> {
    const [command = '', ...args] = this.#command;
    const startedMs = performance.now();
    const child = spawn(command, args, { env: programEnvironment(), stdio: ['ignore', 'ignore', 'pipe'] });
    const ended = once(child, 'exit');
    for await (const line of createInterface({ input: child.stderr })) {
      if (!line.includes(READY)) continue;
      const passedMs = performance.now() - startedMs;
      const threads = child.pid === undefined ? [] : threadTimes([child.pid]).values();
      const processorMs = [...threads].reduce((sum, ns) => sum + ns, 0) / 1e6;
      child.kill();
      child.stderr.resume();
      await ended;
      return { processorMs, passedMs };
    }
    throw new Error(`${command} ended before it was ready`);
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

const places = new Map<System | 'empty', Place>();
for (const system of [...systems, 'empty'] as const) places.set(system, await Place.prepare(system));
const costs = new Map<System | 'empty', Cost[]>();
for (let round = 0; round < Number(values.starts); round += 1)
  for (const [system, place] of places)
    costs.set(system, [...(costs.get(system) ?? []), await place.start()]);
for (const place of places.values()) place.remove();

for (const [system, all] of costs) {
  const processor = figures(all.map(({ processorMs }) => processorMs));
  const passed = figures(all.map(({ passedMs }) => passedMs));
  console.log(`${system}: processor time ${processor}, passed ${passed} (${all.length} starts)`);
}

function figures(times: readonly number[]): string {
  const sorted = times.toSorted((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)] ?? NaN;
  return `${median.toFixed(0)} ms, least ${(sorted[0] ?? NaN).toFixed(0)} ms`;
}
