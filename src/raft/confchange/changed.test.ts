import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../lib/seeded-random.ts';
import { MemoryStorage } from '../memory-storage.ts';
import { RawNode } from '../raw-node.ts';
import { type ConfChange, type ConfChangeType } from '../types.ts';
import { nextConfState } from './changed.ts';
import { ConfChangeError } from './changer.ts';

const silent = { debug() {}, info() {}, warn() {}, error() {} };

describe('the configuration after a change', () => {
  it.each(Array.from({ length: 20 }, (_, seed) => seed))('is the one that raft computes, seed %i', (seed) => {
    const random = new SeededRandom(seed);
    const memory = new MemoryStorage();
    const empty = { voters: [1n], learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false };
    memory.applySnapshot({ data: undefined, metadata: { confState: empty, index: 1, term: 1 } });
    const node = new RawNode({
      id: 1n,
      electionTick: 10,
      heartbeatTick: 1,
      storage: memory,
      asyncStorageWrites: true,
      randomInt: () => 0,
      logger: silent,
      maxInflightMessages: 1,
    });
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
