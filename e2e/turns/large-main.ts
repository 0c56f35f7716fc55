import { parseArgs } from 'node:util';
import { longTurnsOf } from './long-turns.ts';

/*
 * `npm run e2e:large`: the suite of turns.test.ts at full size. Prints each step with the long turns in it, and ends
 * with 1 if there was any. `--only TEXT,TEXT`: of all requests only those with one of these texts in their name.
 * `--times N`: does each request so many times.
 */
const { values } = parseArgs({
  options: {
    keys: { type: 'string', default: '1000000' },
    leases: { type: 'string', default: '500000' },
    watchers: { type: 'string', default: '10000' },
    bound: { type: 'string', default: '20' },
    only: { type: 'string' },
    times: { type: 'string', default: '1' },
  },
});

/** Of the long turns of one step, the longest first. */
const SHOWN = 5;

const startedMs = performance.now();
const found = await longTurnsOf({
  keys: Number(values.keys),
  leases: Number(values.leases),
  watchers: Number(values.watchers),
  boundMs: Number(values.bound),
  only: values.only?.split(','),
  times: Number(values.times),
  onStep: (name, ms, turns) => {
    console.log(`${name}: ${Math.round(ms)} ms, ${turns.length} long turns`);
    for (const turn of [...turns].sort((a, b) => msOf(b) - msOf(a)).slice(0, SHOWN))
      console.log(`    ${turn}`);
  },
});
const longest = Math.max(0, ...found.map(msOf));
console.log(`${Math.round((performance.now() - startedMs) / 1000)} s; the longest turn took ${longest} ms`);
console.log(`${found.length} turns over ${values.bound} ms`);
process.exitCode = found.length === 0 ? 0 : 1;

/** Milliseconds in the description of a turn. */
function msOf(turn: string): number {
  return Number(/(\d+) ms in /.exec(turn)?.[1]);
}
