import { expect, it } from 'vitest';
import { SeededRandom } from '../lib/seeded-random.ts';
import { fuzzRound } from './fuzz.ts';

it('fuzzing on fixed seeds finds nothing', async () => {
  for (let seed = 0; seed < 600; seed++) {
    try {
      await fuzzRound(new SeededRandom(seed));
    } catch (error) {
      expect.fail(`seed ${seed}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    }
  }
});
