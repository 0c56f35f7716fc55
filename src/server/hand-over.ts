import { formatId } from '../membership/member.ts';
import type { Logger } from '../ports/logger.ts';
import { None } from '../raft/types.ts';
import type { Member } from './member.ts';
import type { Reachability } from './memberships.ts';

/**
 * As leader, has the voter that is furthest take over, of those that are connected; waits for that as long as an
 * election may take.
 */
export async function handOver(member: Member, peers: Reachability, logger: Logger): Promise<void> {
  if (!member.isLeader) return;
  const { node } = member.loop;
  const { progress, id } = node.status();
  let best: { readonly id: bigint; readonly match: number } | undefined;
  for (const [voter, { match, isLearner, recentActive }] of progress) {
    if (voter === id || isLearner || !recentActive || peers.activeSince(voter) === undefined) continue;
    if (best === undefined || match > best.match) best = { id: voter, match };
  }
  if (best === undefined) return;
  logger.info('handing leadership over', { to: formatId(best.id) });
  node.transferLeader(best.id);
  member.loop.schedule();
  await new Promise<void>((resolve) => {
    const done = (): void => {
      stop();
      cancel();
      resolve();
    };
    const stop = member.onLeadership((lead) => {
      if (lead !== id && lead !== None) done();
    });
    const cancel = member.scheduler.after(member.config.electionTimeoutMs, done);
  });
}
