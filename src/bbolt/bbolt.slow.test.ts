import { it } from 'vitest';
import { compareAfterWrite, readDamaged } from './testing/databases.ts';

it.each(Array.from({ length: 24 }, (_, seed) => seed))(
  'a bbolt database comes back as it was written, seed %i',
  compareAfterWrite,
);

it('a damaged database is read or refused, whatever bytes are wrong, and never hangs', () =>
  readDamaged(600));
