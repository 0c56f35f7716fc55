import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { MemberKind } from '../harness/member.ts';
import { curves } from './soak/curves.ts';
import { soak } from './soak/run.ts';
import { csv } from './soak/samples.ts';

/*
 * `npm run soak -- --minutes 60`: a cluster under mixed load for that long. Writes soak.csv and soak.svg into `--out`,
 * while it runs and when it ends, and fails if memory, file descriptors, disk or the event loop's delay are not flat.
 */
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    rate: { type: 'string', default: '100' },
    events: { type: 'string', default: '' },
    server: { type: 'string', default: 'keystead' },
    out: { type: 'string', default: 'soak' },
  },
});
const minutes = Number(values.minutes);
const kind = values.server as MemberKind;
mkdirSync(values.out, { recursive: true });
const run = await soak({
  kind,
  minutes,
  perSecond: Number(values.rate),
  events: values.events === '' ? Math.max(4, Math.round(minutes / 3)) : Number(values.events),
  onSample: (samples) => writeFileSync(join(values.out, 'soak.csv'), csv(samples)),
});
writeFileSync(join(values.out, 'soak.csv'), csv(run.samples));
const title = kind === 'etcd' ? 'etcd 3.7.1' : 'Keystead';
writeFileSync(join(values.out, 'soak.svg'), curves(title, run.samples));
const { answered, failed, watchEvents, problems } = run;
console.log(`${answered} requests answered, ${failed} failed, ${watchEvents} events seen`);
for (const problem of problems) console.error(`PROBLEM: ${problem}`);
console.log(problems.length === 0 ? 'flat' : `${problems.length} problems`);
process.exit(problems.length === 0 ? 0 : 1);
