import { expect, it } from 'vitest';
import type { RangeResult } from '../mvcc/range-scan.ts';
import { SlicedResponse } from './range-response.ts';
import type { ServiceContext } from './service-context.ts';

/** A result of three slices, each of one byte. */
function threeSlices(): RangeResult {
  let at = 0;
  const result = {
    get isRead() {
      return at === 3;
    },
    readFields: () => [Buffer.from([(at += 1)])],
  };
  return result as unknown as RangeResult;
}

/*
 * A gateway whose client takes bytes asked for the next slice a second time before the first was there. Two slices
 * were read then, and one of them was lost: the response was wrong and never ended.
 */
it('a response that is asked for a slice twice loses none', () => {
  const waiting: (() => void)[] = [];
  const context = {
    member: { longReads: { soon: (slice: () => void) => waiting.push(slice) } },
    server: { flushAll: () => undefined },
  } as unknown as ServiceContext;
  const nothing = (): void => undefined;
  const response = new SlicedResponse(context, {
    header: Buffer.from('h'),
    tail: Buffer.from('t'),
    result: threeSlices(),
    ready: nothing,
    failed: nothing,
    used: nothing,
    ended: nothing,
    isOver: () => false,
  });
  const taken: Buffer[] = [];
  for (let round = 0; round < 3; round++) {
    expect(response.read()).toBeUndefined();
    expect(response.read()).toBeUndefined();
    for (const slice of waiting.splice(0)) slice();
    taken.push(...(response.read() ?? []));
  }
  expect(Buffer.concat(taken)).toEqual(Buffer.from('h\u0001\u0002\u0003t', 'latin1'));
});
