import type { Logger } from '../../ports/logger.ts';
import type { RaftConfig } from '../config.ts';
import { MemoryStorage } from '../memory-storage.ts';
import { RawNode } from '../raw-node.ts';
import type { ConfState } from '../types.ts';

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** Index of the last entry before the first one of a new node. */
export const START_INDEX = 2;

export function confStateOf(voters: readonly bigint[]): ConfState {
  return { voters: [...voters], learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false };
}

/** A node whose storage starts with a snapshot that names its voters. */
export function newNode(
  options: Partial<RaftConfig> = {},
  voters: readonly bigint[] = [1n],
  term = 0,
): { node: RawNode; storage: MemoryStorage } {
  const storage = new MemoryStorage();
  storage.applySnapshot({
    data: undefined,
    metadata: { confState: confStateOf(voters), index: START_INDEX, term: 1 },
  });
  if (term > 0) storage.setHardState({ term, vote: 0n, commit: START_INDEX });
  return { node: nodeOn(storage, options), storage };
}

/** A node that starts from what is in the storage. */
export function nodeOn(storage: MemoryStorage, options: Partial<RaftConfig> = {}): RawNode {
  return new RawNode({
    id: 1n,
    electionTick: 10,
    heartbeatTick: 1,
    storage,
    randomInt: () => 0,
    logger: silent,
    maxInflightMessages: 256,
    ...options,
  });
}
