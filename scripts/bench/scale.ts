/*
 * `npm run bench:scale`: what depends on the number of keys, and the costs per thread that docs/scale.md is computed
 * from.
 *
 *     npm run bench:scale -- --keys 1000000 --etcd      fills a member and measures it; etcd after it
 *     npm run bench:scale -- --costs --rounds 3         processor time per operation: etcd, no serving threads, one
 *     npm run bench:scale -- --cores                    rates on one core and on two
 *
 * With `--record` the figures replace those of the same kind in `scripts/bench/scale-costs.json`, and the tables of
 * docs/scale.md are written anew. `npx tsx scripts/scale-page.ts` does only the latter. Other options: `--changes` (keys that are
 * changed before the compaction, half of them by default), `--value-size`, `--serving-threads`, `--only-etcd`.
 */
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { type Measured, readMeasured, withRun, writeMeasured } from './scale-costs.ts';
import { measureCores, measureCosts, type Variant } from './scale-operations.ts';
import { runScale } from './scale-run.ts';
import type { System } from './servers.ts';
import { writeScalePage } from '../scale-page.ts';

const { values } = parseArgs({
  options: {
    keys: { type: 'string' },
    changes: { type: 'string' },
    'value-size': { type: 'string', default: '512' },
    'serving-threads': { type: 'string', default: '0' },
    etcd: { type: 'boolean', default: false },
    'only-etcd': { type: 'boolean', default: false },
    costs: { type: 'boolean', default: false },
    cores: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '3' },
    record: { type: 'boolean', default: false },
  },
});

function log(text: string): void {
  process.stderr.write(`${text}\n`);
}

function record(change: (measured: Measured) => Measured): void {
  if (!values.record) return;
  writeMeasured(change(readMeasured()));
  writeScalePage();
}

const variants: readonly Variant[] = [
  { system: 'etcd', servingThreads: 0 },
  { system: 'keystead', servingThreads: 0 },
  { system: 'keystead', servingThreads: 1 },
];

if (values.costs) {
  const [etcd, keystead, serving] = await measureCosts(variants, Number(values.rounds), log);
  if (etcd === undefined || keystead === undefined || serving === undefined) throw new Error('no costs');
  console.log(JSON.stringify({ etcd, keystead, serving }, null, 2));
  const machine = `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}, Node ${process.version}`;
  const date = new Date().toISOString().slice(0, 10);
  record((measured) => ({ ...measured, machine, date, etcd, keystead, serving }));
}
if (values.cores) {
  const cores = await measureCores(variants, log);
  console.log(JSON.stringify(cores, null, 2));
  record((measured) => ({ ...measured, cores }));
}
if (values.keys !== undefined) {
  const systems: readonly System[] = values['only-etcd']
    ? ['etcd']
    : values.etcd
      ? ['keystead', 'etcd']
      : ['keystead'];
  for (const system of systems) {
    const threads = values['serving-threads'];
    const run = await runScale({
      system,
      keys: Number(values.keys),
      changes: Number(values.changes ?? Number(values.keys) / 2),
      valueSize: Number(values['value-size']),
      flags: system === 'etcd' || threads === '0' ? [] : ['--keystead-serving-threads', threads],
      log: (text) => log(`${system}: ${text}`),
    });
    console.log(JSON.stringify(run, null, 2));
    record((measured) => withRun(measured, run));
  }
}
