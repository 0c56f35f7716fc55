import type { AppliedState } from '../apply/applied-state.ts';
import { defined } from '../lib/assert.ts';
import { hex } from '../lib/text.ts';
import { encodeMember } from '../membership/member-json.ts';
import type { LogContents, LogStore } from '../ports/log-store.ts';
import type { Logger } from '../ports/logger.ts';
import { ConfChange, type ConfState, type Entry, EntryType } from '../wire/gen/raftpb.ts';
import { ConfChangeType } from '../raft/types.ts';
import type { Identity } from './identity.ts';
import { containsApplied } from './start-raft.ts';

export interface ForceNewClusterOptions {
  readonly log: LogStore;
  readonly contents: LogContents;
  readonly applied: AppliedState;
  readonly identity: Identity;
  /** Peer URLs of this member, used when the configuration no longer contains it. */
  readonly peerUrls: readonly string[];
  readonly logger: Logger;
}

/**
 * Implements `--force-new-cluster` of etcd, for a cluster that has lost its majority permanently. Uncommitted log
 * entries are discarded. Instead, committed entries are added that remove all other members. They are on disk when
 * this resolves.
 *
 * Unsafe while any other member may still run: there would be two clusters with the same id.
 *
 * @returns the new contents of the log
 */
export async function forceNewCluster(options: ForceNewClusterOptions): Promise<LogContents> {
  const { log, applied, identity, logger } = options;
  const contents = await logUpToStore(options);
  const { snapshot, hardState } = contents;
  const commit = Math.max(hardState.commit, applied.index, snapshot.index);
  const kept = contents.entries.filter(({ index }) => index <= commit);
  if (kept.length < contents.entries.length)
    logger.info('discarding uncommitted WAL entries', {
      'commit-index-from-wal': commit,
      'number-of-discarded-entries': contents.entries.length - kept.length,
    });
  const nodes = nodesAt(kept, applied.index > snapshot.index ? applied : snapshot);
  const changes: Omit<ConfChange, 'id'>[] = [...nodes]
    .filter((id) => id !== identity.memberId)
    .map((nodeId) => ({ type: ConfChangeType.ConfChangeRemoveNode, nodeId, context: undefined }));
  if (!nodes.has(identity.memberId)) changes.unshift(additionOf(options));
  const term = Math.max(hardState.term, kept.at(-1)?.term ?? snapshot.term);
  const added = changes.map((change, at): Entry => ({
    term,
    index: commit + 1 + at,
    type: EntryType.EntryConfChange,
    data: ConfChange.encode({ ...change, id: 0n }),
  }));
  const newState = { term, vote: hardState.vote, commit: commit + added.length };
  for (const { nodeId } of changes)
    logger.warn('forcing a new cluster: changing the membership', { 'member-id': hex(nodeId) });
  await new Promise<void>((resolve) => {
    log.append({ entries: added, hardState: newState }, resolve);
  });
  return { ...contents, entries: [...kept, ...added], hardState: newState };
}

/** After a crash, the log may not yet know of a received store that was already installed. */
async function logUpToStore({ log, contents, applied }: ForceNewClusterOptions): Promise<LogContents> {
  const { index, term, confState } = applied;
  if (containsApplied(contents, applied)) return contents;
  await log.release({ index, term, confState });
  return { ...contents, snapshot: { index, term, confState }, earlier: [], entries: [] };
}

function additionOf({ identity, peerUrls }: ForceNewClusterOptions): Omit<ConfChange, 'id'> {
  const member = { id: identity.memberId, name: '', peerUrls, clientUrls: [], isLearner: false };
  return {
    type: ConfChangeType.ConfChangeAddNode,
    nodeId: identity.memberId,
    context: encodeMember(member),
  };
}

/** Returns all nodes of the configuration after the entries are applied. */
function nodesAt(
  entries: readonly Entry[],
  from: { readonly index: number; readonly confState: ConfState },
): Set<bigint> {
  const { index: base, confState } = from;
  const nodes = new Set([...confState.voters, ...confState.learners]);
  for (const { index, type, data } of entries) {
    if (index <= base || type !== EntryType.EntryConfChange) continue;
    const change = ConfChange.decode(defined(data, 'a configuration change entry has data'));
    if (change.type === ConfChangeType.ConfChangeRemoveNode) nodes.delete(change.nodeId);
    else if (change.type !== ConfChangeType.ConfChangeUpdateNode) nodes.add(change.nodeId);
  }
  return nodes;
}
