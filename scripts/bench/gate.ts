/**
 * `npm run bench:gate`: fails if an operation needs clearly more processor time than the committed figure.
 *
 * The figures in `gate.json` are ratios of the processor time per operation of Keystead to that of etcd. Both are
 * measured in the same run, so the ratios are valid on any machine. Options: `--write` measures and writes new figures,
 * `--only NAMES`, `--rounds 3`, `--scale 0.5`, `--tolerance 1.25` (allowed factor above the committed ratio).
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { format, resolveConfig } from 'prettier';
import { PROCESSOR_TIME } from './kubernetes-scenarios.ts';
import { median, ratioText } from './report.ts';
import { scenarios } from './scenarios.ts';
import { systems, type System } from './servers.ts';

const { values } = parseArgs({
  options: {
    write: { type: 'boolean', default: false },
    only: {
      type: 'string',
      default: 'k-put-cold,k-put100,k-get,k-update,k-txn-large,k-list,k-list-stream,k-watch-500',
    },
    rounds: { type: 'string', default: '3' },
    scale: { type: 'string', default: '0.5' },
    tolerance: { type: 'string', default: '1.25' },
  },
});

const file = join(import.meta.dirname, 'gate.json');
const committed: Record<string, number> = existsSync(file)
  ? (JSON.parse(readFileSync(file, 'utf8')) as Record<string, number>)
  : {};

async function measure(name: string): Promise<number> {
  const scenario = scenarios[name];
  if (scenario === undefined) throw new Error(`no scenario ${name}`);
  const costs: Record<System, number[]> = { etcd: [], keystead: [] };
  for (let round = 0; round < Number(values.rounds); round += 1)
    for (const system of systems)
      costs[system].push((await scenario.run(system, Number(values.scale)))[PROCESSOR_TIME] ?? NaN);
  return median(costs.keystead) / median(costs.etcd);
}

let failed = 0;
for (const name of values.only.split(',')) {
  const ratio = await measure(name);
  const allowed = (committed[name] ?? Infinity) * Number(values.tolerance);
  const isWorse = !values.write && !(ratio <= allowed);
  if (isWorse) failed += 1;
  const limit = committed[name] === undefined ? 'no committed figure' : `committed ${committed[name]}`;
  console.log(
    `${isWorse ? 'WORSE' : 'ok   '} ${name}: ${ratioText(ratio)} of etcd's processor time, ${limit}`,
  );
  if (values.write) committed[name] = Number(ratio.toPrecision(2));
}
if (values.write)
  writeFileSync(
    file,
    await format(JSON.stringify(committed), { ...(await resolveConfig(file)), parser: 'json' }),
  );
process.exitCode = failed === 0 ? 0 : 1;
