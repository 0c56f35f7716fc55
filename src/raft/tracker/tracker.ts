import { describeJoint, jointCommitted, jointVote } from '../quorum/joint.ts';
import type { JointConfig } from '../quorum/joint.ts';
import { VoteResult, describeMajority, sortedIds } from '../quorum/majority.ts';
import type { ConfState } from '../types.ts';
import { sortedProgress } from './progress.ts';
import type { Progress, ProgressMap } from './progress.ts';

/**
 * The voters and learners of the group.
 *
 * Invariant: a node is never voter (of either half) and learner at once. A voter of the outgoing half that is to become
 * a learner waits in `learnersNext` until the joint configuration is left.
 */
export interface TrackerConfig {
  readonly voters: JointConfig;
  /** Whether raft leaves the joint configuration by itself, once it can. */
  readonly autoLeave: boolean;
  readonly learners: ReadonlySet<bigint>;
  readonly learnersNext: ReadonlySet<bigint>;
}

export const emptyConfig: TrackerConfig = {
  voters: { incoming: new Set(), outgoing: new Set() },
  autoLeave: false,
  learners: new Set(),
  learnersNext: new Set(),
};

export function describeConfig(config: TrackerConfig): string {
  let text = `voters=${describeJoint(config.voters)}`;
  if (config.learners.size > 0) text += ` learners=${describeMajority(config.learners)}`;
  if (config.learnersNext.size > 0) text += ` learners_next=${describeMajority(config.learnersNext)}`;
  if (config.autoLeave) text += ' autoleave';
  return text;
}

/** The configuration in force, each node's progress, and the votes of the election under way. */
export class ProgressTracker {
  config: TrackerConfig = emptyConfig;
  /** Keyed and ordered by id. */
  progress: ProgressMap = new Map();
  #votes = new Map<bigint, boolean>();
  readonly maxInflight: number;
  readonly maxInflightBytes: number;

  constructor(maxInflight: number, maxInflightBytes: number) {
    this.maxInflight = maxInflight;
    this.maxInflightBytes = maxInflightBytes;
  }

  install(config: TrackerConfig, progress: ReadonlyMap<bigint, Progress>): void {
    this.config = config;
    this.progress = sortedProgress(progress);
  }

  confState(): ConfState {
    const { voters, learners, learnersNext, autoLeave } = this.config;
    return {
      voters: sortedIds(voters.incoming),
      learners: sortedIds(learners),
      votersOutgoing: sortedIds(voters.outgoing),
      learnersNext: sortedIds(learnersNext),
      autoLeave,
    };
  }

  isSingleton(): boolean {
    return this.config.voters.incoming.size === 1 && this.config.voters.outgoing.size === 0;
  }

  ackedIndex(id: bigint): number | undefined {
    return this.progress.get(id)?.match;
  }

  /** The highest index that the quorum holds. */
  committed(): number {
    return jointCommitted(this.config.voters, this);
  }

  quorumActive(): boolean {
    const active = new Map<bigint, boolean>();
    for (const [id, progress] of this.progress) {
      if (!progress.isLearner) active.set(id, progress.recentActive);
    }
    return jointVote(this.config.voters, active) === VoteResult.Won;
  }

  resetVotes(): void {
    this.#votes = new Map();
  }

  /** A second vote of the same node in the same election does not count. */
  recordVote(id: bigint, granted: boolean): void {
    if (!this.#votes.has(id)) this.#votes.set(id, granted);
  }

  tallyVotes(): { granted: number; rejected: number; result: VoteResult } {
    let granted = 0;
    let rejected = 0;
    for (const [id, progress] of this.progress) {
      if (progress.isLearner) continue;
      const vote = this.#votes.get(id);
      if (vote === true) granted++;
      else if (vote === false) rejected++;
    }
    return { granted, rejected, result: jointVote(this.config.voters, this.#votes) };
  }
}
