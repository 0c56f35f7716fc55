import { parseArgs } from 'node:util';
import type { MemberKind } from '../harness/member.ts';
import { type Restart, type RestartsOptions, restartsUnderLoad } from './restarts.ts';

/*
 * `npm run restarts`: restarts under load for each value size, with one and three members. `--restarts N` is the total
 * number (200), `--limit-ms N` the maximum time of a start (2,000). `--show-ms N` (the limit) prints the parts of starts
 * that took longer.
 */
const { values } = parseArgs({
  options: {
    restarts: { type: 'string', default: '200' },
    'load-ms': { type: 'string', default: '500,6000' },
    'limit-ms': { type: 'string', default: '2000' },
    server: { type: 'string', default: 'keystead' },
    sizes: { type: 'string', default: '1,4,16,64' },
    members: { type: 'string', default: '1,3' },
    'show-ms': { type: 'string' },
  },
});
const kind = values.server as MemberKind;
const [least = 0, most = 0] = values['load-ms'].split(',').map(Number);
const limitMs = Number(values['limit-ms']);
const showMs = Number(values['show-ms'] ?? limitMs);
const sizes = values.sizes.split(',').map(Number);
const counts = values.members.split(',').map((count): 1 | 3 => (count === '1' ? 1 : 3));
const rounds = Math.ceil(Number(values.restarts) / (sizes.length * counts.length));
const all: Restart[] = [];
let failures = 0;

console.log(
  'members  values  restarts  failed to start  acknowledged  start, median and slowest (ms)  caught up',
);
for (const members of counts)
  for (const kilobytes of sizes) {
    const options: RestartsOptions = {
      kind,
      members,
      valueBytes: kilobytes << 10,
      rounds,
      loadMs: [least, most],
    };
    try {
      const { restarts, acknowledged } = await restartsUnderLoad(options);
      all.push(...restarts);
      const starts = restarts.map(({ startMs }) => Math.round(startMs)).sort((a, b) => a - b);
      const caughtUp = restarts.map(({ caughtUpMs }) => Math.round(caughtUpMs)).sort((a, b) => a - b);
      console.log(
        `${members}        ${kilobytes} KB    ${rounds}        0                ${acknowledged}        ` +
          `${starts[starts.length >> 1]} ${starts.at(-1)}                           ` +
          `${caughtUp[caughtUp.length >> 1]} ${caughtUp.at(-1)}`,
      );
      for (const { startMs, signal, parts } of restarts)
        if (startMs > showMs) console.log(`  ${signal}, ${Math.round(startMs)} ms: ${parts.join('; ')}`);
    } catch (error) {
      failures += 1;
      console.error(`${members} members, ${kilobytes} KB: ${String(error)}`);
    }
  }

for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
  const some = all.filter((each) => each.signal === signal);
  const late = some.filter(({ startMs }) => startMs > limitMs).length;
  console.log(`${some.length} restarts by ${signal}: ${late} took longer than ${limitMs} ms`);
  failures += late;
}
process.exit(failures === 0 ? 0 : 1);
