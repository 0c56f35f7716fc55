import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../lib/seeded-random.ts';
import { newNode } from '../testing/new-node.ts';
import { type ConfChange, type ConfChangeType } from '../types.ts';
import { nextConfState } from './changed.ts';
import { ConfChangeError } from './changer.ts';

describe('the configuration after a change', () => {
  it.each(Array.from({ length: 20 }, (_, seed) => seed))('is the one that raft computes, seed %i', (seed) => {
    const random = new SeededRandom(seed);
    const { node } = newNode();
    let state = node.confState();
    for (let n = 0; n < 60; n += 1) {
      const change: ConfChange = {
        id: BigInt(n),
        type: random.int(4) as ConfChangeType,
        nodeId: BigInt(random.int(7)),
        context: undefined,
      };
      let expected;
      try {
        expected = node.applyConfChange(change);
      } catch (error) {
        expect(error).toBeInstanceOf(ConfChangeError);
        expect(() => nextConfState(state, change)).toThrow(ConfChangeError);
        continue;
      }
      state = nextConfState(state, change);
      expect(state).toEqual(expected);
    }
  });
});
