import type { AppliedState } from '../apply/applied-state.ts';
import type { Config } from '../config/config.ts';
import { encodeMember } from '../membership/member-json.ts';
import type { LogContents } from '../ports/log-store.ts';
import type { Logger } from '../ports/logger.ts';
import { MemoryStorage } from '../raft/memory-storage.ts';
import { RawNode } from '../raft/raw-node.ts';
import { type Entry, None } from '../raft/types.ts';
import type { Founding, Identity } from './identity.ts';
import type { MemberStorage } from './member.ts';

const MAX_SIZE_PER_MESSAGE = 512 * 1024;
/** As etcd: fills a few round trips, and bounds what waits for a slow follower. */
const MAX_INFLIGHT_MESSAGES = 512;

export interface StartRaftOptions {
  readonly config: Config;
  readonly storage: Pick<MemberStorage, 'contents' | 'isNew'>;
  readonly identity: Identity;
  readonly founders: Founding['founders'];
  readonly applied: AppliedState;
  readonly randomInt: (bound: number) => number;
  readonly logger: Logger;
  readonly maxCommittedBytesPerTurn: number;
}

/** Brings raft back to where the log and the engine stand, or founds a group on empty ones. */
export function startRaft(options: StartRaftOptions): { node: RawNode; memory: MemoryStorage } {
  const { config, storage, identity, founders, applied, randomInt, logger } = options;
  const { mark, hardState } = storage.contents;
  const entries = withoutStale(storage.contents);
  const memory = new MemoryStorage();
  if (mark.index > 0) {
    memory.applySnapshot({
      data: undefined,
      metadata: { confState: mark.confState, index: mark.index, term: mark.term },
    });
  }
  memory.append(entries);
  // A received store was put in place and the crash came before the log said so: the log begins behind it.
  const isBehind = applied.index > memory.lastIndex();
  if (isBehind) {
    const { index, term, confState } = applied;
    memory.applySnapshot({ data: undefined, metadata: { index, term, confState } });
  }
  // The engine never holds what was not committed, and the commit index is written without a sync of its own.
  const commit = Math.max(hardState.commit, Math.min(applied.index, memory.lastIndex()));
  const isOlderTerm = isBehind && hardState.term < applied.term;
  memory.setHardState(isOlderTerm ? { term: applied.term, vote: None, commit } : { ...hardState, commit });
  if (applied.index > mark.index) memory.restoreConfState(applied.confState);
  const node = new RawNode({
    id: identity.memberId,
    electionTick: config.electionTicks,
    heartbeatTick: 1,
    storage: memory,
    applied: applied.index,
    asyncStorageWrites: true,
    maxSizePerMessage: MAX_SIZE_PER_MESSAGE,
    maxCommittedSizePerReady: options.maxCommittedBytesPerTurn,
    maxInflightMessages: MAX_INFLIGHT_MESSAGES,
    checkQuorum: true,
    preVote: config.preVote,
    randomInt,
    logger: withoutRoutine(logger),
  });
  if (storage.isNew && founders.length > 0)
    node.bootstrap(founders.map((member) => ({ id: member.id, context: encodeMember(member) })));
  return { node, memory };
}

/**
 * A received snapshot takes the place of a log that had gone another way, whose end still lies in the files behind
 * the mark. Terms never fall along a log (Raft, section 5.3), so entries of a term before the mark's are such an end;
 * a member that took them for its own would vote by them, against what it knows to be committed.
 */
function withoutStale({ mark, entries }: LogContents): readonly Entry[] {
  const [first] = entries;
  return first !== undefined && first.term < mark.term ? [] : entries;
}

/** With storage written asynchronously, raft often hears of entries that an earlier answer has covered. */
function withoutRoutine(logger: Logger): Logger {
  return {
    ...logger,
    info: (message, fields) => {
      if (message.startsWith('entry at index ')) logger.debug(message, fields);
      else logger.info(message, fields);
    },
  };
}
