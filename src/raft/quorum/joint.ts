import { VoteResult, describeAcks, describeMajority, majorityCommitted, majorityVote } from './majority.ts';
import type { AckedIndexer, MajorityConfig } from './majority.ts';

/**
 * Two majorities that must both agree while the voters are being changed (Raft thesis, 4.3). Outside of a change
 * `outgoing` is empty, and the pair decides like `incoming` alone.
 */
export interface JointConfig {
  readonly incoming: MajorityConfig;
  readonly outgoing: MajorityConfig;
}

export function jointCommitted(config: JointConfig, acks: AckedIndexer): number {
  const incoming = majorityCommitted(config.incoming, acks);
  return config.outgoing.size === 0 ? incoming : Math.min(incoming, majorityCommitted(config.outgoing, acks));
}

export function jointVote(config: JointConfig, votes: ReadonlyMap<bigint, boolean>): VoteResult {
  const incoming = majorityVote(config.incoming, votes);
  const outgoing = majorityVote(config.outgoing, votes);
  if (incoming === outgoing) return incoming;
  return incoming === VoteResult.Lost || outgoing === VoteResult.Lost ? VoteResult.Lost : VoteResult.Pending;
}

/** The voters of both halves. */
export function jointIds(config: JointConfig): Set<bigint> {
  return new Set([...config.incoming, ...config.outgoing]);
}

/** Whether these voters can elect and commit. */
export function isQuorum(config: JointConfig, isIncluded: (voter: bigint) => boolean): boolean {
  const votes = new Map([...jointIds(config)].map((id) => [id, isIncluded(id)]));
  return jointVote(config, votes) === VoteResult.Won;
}

export function isVoter(config: JointConfig, id: bigint): boolean {
  return config.incoming.has(id) || config.outgoing.has(id);
}

export function describeJoint(config: JointConfig): string {
  const incoming = describeMajority(config.incoming);
  return config.outgoing.size === 0 ? incoming : `${incoming}&&${describeMajority(config.outgoing)}`;
}

export function describeJointAcks(config: JointConfig, acks: AckedIndexer): string {
  return describeAcks(jointIds(config), acks);
}
