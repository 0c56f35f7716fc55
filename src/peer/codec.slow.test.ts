import { it } from 'vitest';
import { decodeGarbage } from './testing/garbage.ts';

it.each([...Array(40).keys()])('decoders end on garbage with an error or wait for more, seed %i', (seed) =>
  decodeGarbage(seed, 50),
);
