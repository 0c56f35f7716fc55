import { appendFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { MemberKind } from '../harness/member.ts';
import { runMatrix } from './matrix/run.ts';

/*
 * `npm run matrix`: injects faults into clusters of real processes. Prints one line per fault, and all failures.
 * Options: `--clusters keystead3,etcd3`, `--faults REGEXP`, `--latencies 50,150` (round-trip times between members),
 * `--record FILE` (appends the figures to a file). `tsx e2e/reliability/matrix-table.ts FILE` prints the table of
 * docs/reliability.md from such a file.
 */
const { values } = parseArgs({
  options: {
    clusters: { type: 'string', default: 'keystead1,etcd1,keystead3,etcd3,mixed3' },
    faults: { type: 'string' },
    latencies: { type: 'string', default: '50,150' },
    record: { type: 'string' },
  },
});
const only = values.faults === undefined ? undefined : new RegExp(values.faults);
const latencies = values.latencies.split(',').filter(Boolean).map(Number);
const failures: string[] = [];

function kindsOf(cluster: string): MemberKind[] {
  if (cluster === 'mixed3') return ['keystead', 'keystead', 'etcd'];
  const kind = cluster.startsWith('etcd') ? 'etcd' : 'keystead';
  return Array<MemberKind>(cluster.endsWith('3') ? 3 : 1).fill(kind);
}

async function run(cluster: string, roundTripMs?: number): Promise<void> {
  const suffix = roundTripMs === undefined ? '' : `, ${roundTripMs} ms between members`;
  const { problems, operations } = await runMatrix({
    kinds: kindsOf(cluster),
    only,
    roundTripMs,
    onRow: (row) => {
      const { fault, outageMs, backMs } = row;
      const line = {
        cluster,
        fault: fault + suffix,
        outageMs: Math.round(outageMs),
        backMs: Math.round(backMs),
      };
      console.log(JSON.stringify(line));
      if (values.record !== undefined) appendFileSync(values.record, `${JSON.stringify(line)}\n`);
    },
  });
  console.log(`${cluster}${suffix}: ${operations} requests answered, ${problems.length} problems`);
  for (const problem of problems) console.error(`PROBLEM ${cluster}${suffix}: ${problem}`);
  failures.push(...problems);
}

for (const cluster of values.clusters.split(',')) {
  await run(cluster);
  if (cluster.endsWith('3')) for (const roundTripMs of latencies) await run(cluster, roundTripMs);
}
process.exit(failures.length === 0 ? 0 : 1);
