/**
 * `npm run bench`: compares Keystead and etcd with etcd's benchmark client.
 *
 * Both run alternately with the same flags and fsync, each round with a new data directory. Figures are medians of the
 * rounds. Options: `--only put100,get`, `--rounds 3`, `--scale 1` (factor for the number of requests), `--json FILE`,
 * `--chart FILE` (an SVG chart of the ratios).
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { chart } from './chart.ts';
import { bars, report, type ScenarioResult } from './report.ts';
import { scenarios, type Figures } from './scenarios.ts';
import { requirePeer } from '../../e2e/harness/paths.ts';
import { systems, type System } from './servers.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: Object.keys(scenarios).join(',') },
    rounds: { type: 'string', default: '3' },
    scale: { type: 'string', default: '1' },
    json: { type: 'string', default: 'bench-results/latest.json' },
    chart: { type: 'string' },
  },
});

const results: ScenarioResult[] = [];
for (const name of values.only.split(',')) {
  const scenario = scenarios[name];
  if (scenario === undefined)
    throw new Error(`no scenario ${name}; there are ${Object.keys(scenarios).join(', ')}`);
  const rounds = Math.min(Number(values.rounds), scenario.rounds ?? Infinity);
  const measured: Record<System, Figures[]> = { etcd: [], keystead: [] };
  for (let round = 0; round < rounds; round += 1) {
    for (const system of systems) {
      process.stderr.write(`${scenario.name}: round ${round + 1} of ${rounds}, ${system}\n`);
      measured[system].push(await scenario.run(system, Number(values.scale)));
    }
  }
  const result = { scenario, measured };
  results.push(result);
  console.log(report([result]).table);
}

const { table, data } = report(results);
const machine = `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}, Node ${process.version}`;
const etcd = execFileSync(requirePeer('etcd'), ['--version'], { encoding: 'utf8' }).split('\n')[0];
console.log(`\n${machine}; ${etcd}\n\n${table}`);
mkdirSync(dirname(values.json), { recursive: true });
writeFileSync(
  values.json,
  `${JSON.stringify({ date: new Date().toISOString(), machine, etcd, results: data }, null, 2)}\n`,
);
if (values.chart !== undefined) {
  const day = new Date().toISOString().slice(0, 10);
  writeFileSync(values.chart, chart(`Keystead against ${etcd ?? 'etcd'}, ${machine}, ${day}`, bars(results)));
}
