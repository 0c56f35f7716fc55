import { hex } from '../lib/text.ts';
import type { Logger } from '../ports/logger.ts';
import { isQuorum } from '../raft/quorum/joint.ts';
import { None } from '../raft/types.ts';
import type { ConsensusStatus } from './consensus.ts';
import type { Member } from './member.ts';
import type { Reachability } from './memberships.ts';

export interface Successor {
  readonly id: bigint;
  /** Index of the last entry that it is known to have on disk. */
  readonly match: number;
}

/** Returns the connected voter with the highest match index. */
export function successorOf({ id, progress }: ConsensusStatus, peers: Reachability): Successor | undefined {
  let best: Successor | undefined;
  for (const [voter, { match, isLearner, recentActive }] of progress) {
    if (voter === id || isLearner || !recentActive || peers.activeSince(voter) === undefined) continue;
    if (best === undefined || match > best.match) best = { id: voter, match };
  }
  return best;
}

/** Whether the connected voters have a quorum without the leader. */
export function hasQuorumWithoutLeader({ id, config }: ConsensusStatus, peers: Reachability): boolean {
  return isQuorum(config.voters, (voter) => voter !== id && peers.activeSince(voter) !== undefined);
}

/**
 * As leader, transfers the leadership to the connected voter with the highest match index. Waits for the new leader for
 * at most an election timeout.
 */
export async function transferLeadership(member: Member, peers: Reachability, logger: Logger): Promise<void> {
  if (!member.isLeader) return;
  const { consensus } = member;
  const status = consensus.status();
  const best = successorOf(status, peers);
  if (best === undefined) return;
  logger.info('transferring leadership', { to: hex(best.id) });
  consensus.transferLeader(best.id);
  await new Promise<void>((resolve) => {
    const done = (): void => {
      stop();
      cancel();
      resolve();
    };
    const stop = member.onLeadership((lead) => {
      if (lead !== status.id && lead !== None) done();
    });
    const cancel = member.scheduler.after(member.config.electionTimeoutMs, done);
  });
}
