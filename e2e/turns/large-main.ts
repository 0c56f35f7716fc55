import { parseArgs } from 'node:util';
import { longTurnsOf } from './long-turns.ts';

/*
 * `npm run e2e:large`: the suite of turns.test.ts at full size. Prints each step with the long turns in it, and ends
 * with 1 if there was any.
 */
const { values } = parseArgs({
  options: {
    keys: { type: 'string', default: '1000000' },
    leases: { type: 'string', default: '500000' },
    watchers: { type: 'string', default: '10000' },
    bound: { type: 'string', default: '20' },
  },
});

/** Of the long turns of one step. */
const SHOWN = 5;

const found = await longTurnsOf({
  keys: Number(values.keys),
  leases: Number(values.leases),
  watchers: Number(values.watchers),
  boundMs: Number(values.bound),
  onStep: (name, ms, turns) => {
    console.log(`${name}: ${Math.round(ms)} ms, ${turns.length} long turns`);
    for (const turn of turns.slice(0, SHOWN)) console.log(`    ${turn}`);
  },
});
console.log(`${found.length} turns over ${values.bound} ms`);
process.exitCode = found.length === 0 ? 0 : 1;
