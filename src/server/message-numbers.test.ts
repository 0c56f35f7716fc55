import { expect, it } from 'vitest';
import { Message } from '../wire/gen/raftpb.ts';
import { hasUsableNumbers } from './message-numbers.ts';

const entry = { type: 0, term: 3, index: 7, data: undefined } as const;

// Found by fuzzing: the process ended when it wrote a term of 2^64 to the store.
it.each([
  ['usual numbers', { term: 3, index: 7, logTerm: 2, commit: 6, entries: [entry] }, true],
  ['the largest term of the wire', { term: 2 ** 64 }, false],
  ['an index that is not exact', { index: 2 ** 53 }, false],
  ['a term of an entry', { entries: [{ ...entry, term: 2 ** 63 }] }, false],
  [
    'a snapshot',
    { snapshot: { data: undefined, metadata: { confState: undefined, index: 2 ** 60, term: 1 } } },
    false,
  ],
])('%s', (_, fields, expected) => {
  expect(hasUsableNumbers(Message.create(fields))).toBe(expected);
});
