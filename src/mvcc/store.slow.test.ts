import { it } from 'vitest';
import { compareWithModel } from './testing/store-model.ts';

it.each([1, 2, 3, 4, 5])('the store against a simple model agrees on seed %i', (seed) => {
  compareWithModel(seed, 400);
});
