import type { AppliedState } from '../apply/applied-state.ts';
import type { Config } from '../config/config.ts';
import { defined } from '../lib/assert.ts';
import { encodeMember } from '../membership/member-json.ts';
import type { LogContents, LogStore } from '../ports/log-store.ts';
import type { Logger } from '../ports/logger.ts';
import { entrySize } from '../raft/entry-size.ts';
import { MemoryStorage } from '../raft/memory-storage.ts';
import { RawNode } from '../raft/raw-node.ts';
import { type Entry, None } from '../raft/types.ts';
import type { BootstrapResult, Identity } from './identity.ts';

const MAX_SIZE_PER_MESSAGE = 512 * 1024;
const MAX_COMMITTED_BYTES_PER_TURN = 4 * 1024 * 1024;
/** As etcd: enough for several round trips, and limits the memory for a slow follower. */
const MAX_INFLIGHT_MESSAGES = 512;

/** What the store has applied. */
export type AppliedPoint = Pick<AppliedState, 'index' | 'term' | 'confState'>;

export interface StartRaftOptions {
  readonly config: Pick<Config, 'electionTicks' | 'preVote' | 'catchupBytes'>;
  readonly storage: {
    readonly contents: LogContents;
    readonly isNew: boolean;
    readonly log: Pick<LogStore, 'release'>;
  };
  readonly identity: Pick<Identity, 'memberId'>;
  readonly initialMembers: BootstrapResult['initialMembers'];
  readonly applied: AppliedPoint;
  readonly randomInt: (bound: number) => number;
  readonly logger: Logger;
}

/**
 * The state from which raft starts, with the log in memory.
 *
 * @param applied what the store has applied. A log without its last entry counts as empty after that entry.
 * @param catchupBytes maximum size of the entries before the snapshot record
 */
export function loadRaftLog(
  contents: LogContents,
  applied: AppliedPoint,
  catchupBytes: number,
): { readonly memory: MemoryStorage; readonly isLogOutdated: boolean } {
  const { snapshot, hardState } = contents;
  const memory = new MemoryStorage();
  const [base = snapshot, ...earlier] = earlierForOthers(contents, catchupBytes);
  const { confState } = snapshot;
  if (snapshot.index > 0)
    memory.applySnapshot({ data: undefined, metadata: { confState, index: base.index, term: base.term } });
  memory.append(earlier);
  memory.append(contents.entries);
  memory.createSnapshot(snapshot.index, confState, undefined);
  const isLogOutdated = !containsApplied(contents, applied);
  if (isLogOutdated) {
    const { index, term, confState } = applied;
    memory.applySnapshot({ data: undefined, metadata: { index, term, confState } });
  }
  // Everything in the engine is committed, but the commit index of the log may be older: it is written without a sync.
  const commit = Math.max(hardState.commit, Math.min(applied.index, memory.lastIndex()));
  const isOlderTerm = isLogOutdated && hardState.term < applied.term;
  memory.setHardState(isOlderTerm ? { term: applied.term, vote: None, commit } : { ...hardState, commit });
  if (applied.index > snapshot.index) memory.restoreConfState(applied.confState);
  return { memory, isLogOutdated };
}

/**
 * The entries before the snapshot record that a leader keeps for members that lag, as before the restart. If all members
 * are restarted under load, one that lags by a few entries would otherwise need a snapshot of the whole store.
 */
function earlierForOthers({ snapshot, earlier }: LogContents, maxBytes: number): readonly Entry[] {
  const { voters, learners } = snapshot.confState;
  if (voters.length + learners.length <= 1) return [];
  let bytes = 0;
  let from = earlier.length;
  for (; from > 0; from -= 1) {
    bytes += entrySize(defined(earlier[from - 1], 'entries have no holes'));
    if (bytes > maxBytes) break;
  }
  return earlier.slice(from);
}

/**
 * Starts raft from the log and the engine, or bootstraps a new cluster when both are empty. If the log does not contain
 * the last entry that the engine has applied, the log is first released up to that entry.
 */
export function startRaft(options: StartRaftOptions): { node: RawNode; memory: MemoryStorage } {
  const { config, storage, identity, initialMembers, applied, randomInt, logger } = options;
  const { memory, isLogOutdated } = loadRaftLog(storage.contents, applied, config.catchupBytes);
  if (isLogOutdated) {
    const { index, term, confState } = applied;
    void storage.log.release({ index, term, confState });
  }
  const node = new RawNode({
    id: identity.memberId,
    electionTick: config.electionTicks,
    heartbeatTick: 1,
    storage: memory,
    applied: applied.index,
    asyncStorageWrites: true,
    maxSizePerMessage: MAX_SIZE_PER_MESSAGE,
    maxCommittedSizePerReady: MAX_COMMITTED_BYTES_PER_TURN,
    maxInflightMessages: MAX_INFLIGHT_MESSAGES,
    checkQuorum: true,
    preVote: config.preVote,
    orderedElections: true,
    randomInt,
    logger: withQuietEntries(logger),
  });
  if (storage.isNew && initialMembers.length > 0)
    node.bootstrap(initialMembers.map((member) => ({ id: member.id, context: encodeMember(member) })));
  return { node, memory };
}

/**
 * Whether the log contains the last entry that the engine has applied. It does not after a crash between the
 * installation of a received store and the release of the log. Then the log may be too short, or have other entries at
 * the same indexes. None of its entries may count as committed, and the member must not base votes on them. Equal terms
 * at an index mean equal logs up to that index (Raft paper, section 5.3).
 */
export function containsApplied(
  { snapshot, entries }: LogContents,
  applied: { readonly index: number; readonly term: number },
): boolean {
  if (applied.index <= snapshot.index) return true;
  const entry = entries[applied.index - snapshot.index - 1];
  // Databases of etcd before 3.5 do not contain the term.
  return entry !== undefined && (applied.term === 0 || entry.term === applied.term);
}

/** Logs a frequent message at debug level: with asynchronous storage, raft often gets responses for older entries. */
function withQuietEntries(logger: Logger): Logger {
  return {
    ...logger,
    info: (message, fields) => {
      if (message.startsWith('entry at index ')) logger.debug(message, fields);
      else logger.info(message, fields);
    },
  };
}
