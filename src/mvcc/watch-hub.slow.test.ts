import { describe, it } from 'vitest';
import { SeededRandom } from '../lib/seeded-random.ts';
import { moveBackBetweenDeliveries, moveBackForSlower } from './testing/catch-up-histories.ts';
import { randomHistory } from './testing/watch-world.ts';

describe('WatchHub against a simple model', () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    it(`random history ${seed}`, () => randomHistory(new SeededRandom(seed), false));
  }
  for (let seed = 1; seed <= 30; seed += 1) {
    it(`random history ${seed} with calls during deliveries`, () =>
      randomHistory(new SeededRandom(seed), true));
  }
});

describe('WatchHub with a long history', () => {
  it('moves a catch-up back for a slower watcher and loses no events of the others', () =>
    moveBackForSlower(1000));

  it('moves a catch-up back only between deliveries', () => moveBackBetweenDeliveries(1000));
});
