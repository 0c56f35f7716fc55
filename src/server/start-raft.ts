import type { AppliedState } from '../apply/applied-state.ts';
import type { Config } from '../config/config.ts';
import { encodeMember } from '../membership/member-json.ts';
import type { LogContents } from '../ports/log-store.ts';
import type { Logger } from '../ports/logger.ts';
import { MemoryStorage } from '../raft/memory-storage.ts';
import { RawNode } from '../raft/raw-node.ts';
import { None } from '../raft/types.ts';
import type { Founding, Identity } from './identity.ts';
import type { MemberStorage } from './member-options.ts';

const MAX_SIZE_PER_MESSAGE = 512 * 1024;
/** As etcd: fills a few round trips, and bounds what waits for a slow follower. */
const MAX_INFLIGHT_MESSAGES = 512;

export interface StartRaftOptions {
  readonly config: Config;
  readonly storage: Pick<MemberStorage, 'contents' | 'isNew' | 'log'>;
  readonly identity: Identity;
  readonly founders: Founding['founders'];
  readonly applied: AppliedState;
  readonly randomInt: (bound: number) => number;
  readonly logger: Logger;
  readonly maxCommittedBytesPerTurn: number;
}

/**
 * Brings raft back to where the log and the engine stand, or founds a group on empty ones. Where the log does not lead
 * to what the engine holds, it is told so before raft appends to it.
 */
export function startRaft(options: StartRaftOptions): { node: RawNode; memory: MemoryStorage } {
  const { config, storage, identity, founders, applied, randomInt, logger } = options;
  const { mark, hardState } = storage.contents;
  const memory = new MemoryStorage();
  if (mark.index > 0) {
    memory.applySnapshot({
      data: undefined,
      metadata: { confState: mark.confState, index: mark.index, term: mark.term },
    });
  }
  memory.append(storage.contents.entries);
  const isLogVoid = !leadsTo(storage.contents, applied);
  if (isLogVoid) {
    const { index, term, confState } = applied;
    memory.applySnapshot({ data: undefined, metadata: { index, term, confState } });
    void storage.log.release({ index, term, confState });
  }
  // The engine never holds what was not committed, and the commit index is written without a sync of its own.
  const commit = Math.max(hardState.commit, Math.min(applied.index, memory.lastIndex()));
  const isOlderTerm = isLogVoid && hardState.term < applied.term;
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
    orderedElections: true,
    randomInt,
    logger: withoutRoutine(logger),
  });
  if (storage.isNew && founders.length > 0)
    node.bootstrap(founders.map((member) => ({ id: member.id, context: encodeMember(member) })));
  return { node, memory };
}

/**
 * Whether the log holds the last entry that the engine has applied. It does not where a received store was put in
 * place and a crash came before the log was told. The log may be shorter then, or as long and have gone another way:
 * none of its entries may count as committed, and the member must not vote by them. Equal terms at an index mean
 * equal logs up to there (Raft, section 5.3).
 */
export function leadsTo(
  { mark, entries }: LogContents,
  applied: { readonly index: number; readonly term: number },
): boolean {
  if (applied.index <= mark.index) return true;
  const entry = entries[applied.index - mark.index - 1];
  // Databases of etcd before 3.5 do not say the term.
  return entry !== undefined && (applied.term === 0 || entry.term === applied.term);
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
