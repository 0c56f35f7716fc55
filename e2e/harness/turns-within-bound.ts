import { afterAll, expect } from 'vitest';
import { longTurns } from './program.ts';

/*
 * Part of every end-to-end suite: each member that it starts watches the turns of its event loop, and the suite fails
 * when one took more processor time than the bound. The aim is 20 ms on an idle machine: KEYSTEAD_MAX_TURN_MS=20. On a
 * busy one, and while code is new, the same work takes twice the processor time. The closing of two thousand TLS
 * connections at once still takes 50 ms. KEYSTEAD_MAX_TURN_MS=0 turns the watch off.
 */
process.env['KEYSTEAD_MAX_TURN_MS'] ??= '100';

afterAll(() => {
  expect(longTurns.splice(0)).toEqual([]);
});
