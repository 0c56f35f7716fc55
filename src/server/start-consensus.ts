import type { AppliedState } from '../apply/applied-state.ts';
import type { Config } from '../config/config.ts';
import type { Logger } from '../ports/logger.ts';
import type { Scheduler } from '../ports/scheduler.ts';
import type { ConsensusDriver, ConsensusHooks } from './consensus.ts';
import type { BootstrapResult, Identity } from './identity.ts';
import type { MemberStorage } from './member-options.ts';
import { RaftLoop } from './raft-loop.ts';
import { newReadNonce } from './read-queue.ts';
import type { SlowRequests } from './slow-requests.ts';
import { startRaft } from './start-raft.ts';

export const READ_RETRY_MS = 500;

export interface ConsensusOptions {
  readonly config: Config;
  readonly storage: Pick<MemberStorage, 'contents' | 'isNew' | 'log'>;
  readonly identity: Identity;
  readonly initialMembers: BootstrapResult['initialMembers'];
  readonly applied: AppliedState;
  readonly scheduler: Scheduler;
  readonly now: () => number;
  /** A uniform random integer in [0, bound). */
  readonly randomInt: (bound: number) => number;
  readonly slowRequests?: SlowRequests;
  /** For the lines of raft itself. */
  readonly logger: Logger;
  readonly hooks: ConsensusHooks;
}

export type StartConsensus = (options: ConsensusOptions) => ConsensusDriver;

/** Starts raft in the thread of the member. */
export const startRaftLoop: StartConsensus = (options) => {
  const { config, storage, scheduler, now, randomInt, slowRequests, hooks } = options;
  return new RaftLoop({
    ...startRaft(options),
    log: storage.log,
    scheduler,
    readRetryMs: READ_RETRY_MS,
    readNonce: newReadNonce(randomInt),
    ...(slowRequests === undefined ? {} : { slowRequests }),
    now,
    catchupBytes: config.catchupBytes,
    hooks,
  });
};
