import { describe, expect, it } from 'vitest';
import {
  comparesIndexes,
  compactsUnapplied,
  plantedBugs,
  recyclesSegments,
  refusesFigureEight,
} from './planted/index.ts';
import { simulate } from './simulation.ts';

/** A short version of `npm run sim`. */
const SEEDS = 50;
const GROUP = 10;
const MINUTES = 1;

describe('simulated clusters', () => {
  const consistent = async (from: number, raftThread: boolean): Promise<void> => {
    for (let seed = from; seed < from + GROUP; seed += 1) {
      const members = seed % 3 === 0 ? 5 : 3;
      const { failure, trace, answered } = await simulate({ seed, members, minutes: MINUTES, raftThread });
      if (failure !== undefined)
        expect.fail(
          `seed ${seed}: ${failure}\n${trace.slice(-40).join('\n')}\n` +
            `replay: npm run sim -- --seed ${seed} --members ${members} --minutes ${MINUTES}` +
            (raftThread ? ' --raft-thread' : ''),
        );
      expect(answered).toBeGreaterThan(50);
    }
  };

  for (let from = 1; from <= SEEDS; from += GROUP) {
    const seeds = `seeds ${from} to ${from + GROUP - 1}`;
    it(`stay consistent through crashes, partitions and bad disks, ${seeds}`, async () => {
      await consistent(from, false);
    }, 120_000);
    it(`do so with raft in a thread of its own, ${seeds}`, async () => {
      await consistent(from, true);
    }, 120_000);
  }

  // An append with nothing to write acknowledged earlier entries that were not on disk yet.
  it.each([529, 596])('pass with seeds that failed before: seed %i', async (seed) => {
    const { failure } = await simulate({ seed, members: 3, minutes: 5 });
    expect(failure).toBeUndefined();
  });

  it('give the same history for the same seed', async () => {
    const once = await simulate({ seed: 7, members: 3, minutes: 1 });
    const again = await simulate({ seed: 7, members: 3, minutes: 1 });
    expect(again).toEqual(once);
  });
});

describe('a planted bug', () => {
  it.each(plantedBugs.map((bug) => [bug.name, bug] as const))('%s is found', async (_name, bug) => {
    for (let seed = 1; seed <= 10; seed += 1) {
      const { failure } = await simulate({ seed, members: 3, minutes: 2, bug });
      if (failure !== undefined) return;
    }
    expect.fail('no seed of ten found it');
  });

  // The first seed from 1 on that finds it, and some more: other histories begin with each change of the simulator.
  it.each([
    { bug: recyclesSegments, from: 5, says: /cannot start: CorruptLogError/ },
    { bug: refusesFigureEight, from: 3, says: /cannot start: CorruptLogError/ },
    { bug: comparesIndexes, from: 2, says: /starts with another entry at \d+ as committed/ },
    { bug: compactsUnapplied, from: 1, says: /a scanned range of the log exists/ },
  ])('$bug.name is found, and nothing without it', async ({ bug, from, says }) => {
    for (let seed = from; seed < from + 30; seed += 1) {
      const members = seed % 3 === 0 ? 5 : 3;
      const { failure } = await simulate({ seed, members, minutes: 2, bug });
      if (failure === undefined) continue;
      expect(failure).toMatch(says);
      expect((await simulate({ seed, members, minutes: 2 })).failure).toBeUndefined();
      return;
    }
    expect.fail('no seed of thirty found it');
  });
});
