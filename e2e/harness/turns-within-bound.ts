import { afterAll, expect } from 'vitest';
import { longTurns } from './program.ts';

/*
 * Part of every end-to-end suite: each member that it starts watches the turns of its event loop, and the suite fails
 * when one took more processor time than the bound, which is 20 ms on an idle machine. On a busy one, and while code is
 * new, the same work takes twice the processor time. KEYSTEAD_MAX_TURN_MS=0 turns that off.
 */
process.env['KEYSTEAD_MAX_TURN_MS'] ??= '40';

afterAll(() => {
  expect(longTurns.splice(0)).toEqual([]);
});
