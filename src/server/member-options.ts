import type { TokenAssigner } from '../apply/auth-requests.ts';
import type { TokenObserver } from '../auth/auth-store.ts';
import type { Config } from '../config/config.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Clock } from '../ports/clock.ts';
import type { EngineControl } from '../ports/engine.ts';
import type { LogContents, LogStore } from '../ports/log-store.ts';
import type { Logger } from '../ports/logger.ts';
import type { Scheduler } from '../ports/scheduler.ts';
import type { SpaceGauge } from '../ports/space.ts';
import type { Message } from '../raft/types.ts';
import type { WatchPacing } from '../mvcc/watch-pacing.ts';
import type { HashRows } from './hash-store.ts';
import type { BootstrapResult, Identity } from './identity.ts';
import type { StartConsensus } from './start-consensus.ts';

/** An opened data directory. */
export interface MemberStorage {
  readonly engine: EngineControl;
  readonly log: LogStore;
  readonly contents: LogContents;
  readonly isNew: boolean;
  readonly space: SpaceGauge;
}

export interface MemberOptions {
  readonly config: Config;
  readonly storage: MemberStorage;
  readonly identity: Identity;
  /** The members of a new cluster; empty for a member that joins a cluster. */
  readonly initialMembers: BootstrapResult['initialMembers'];
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  /** A uniform random integer in [0, bound). */
  readonly randomInt: (bound: number) => number;
  readonly logger: (caller: string) => Logger;
  readonly metrics: Metrics;
  readonly tokens?: TokenAssigner & TokenObserver;
  /** Hashes a large store in a worker thread. Without it, everything is hashed on this thread. */
  readonly hashInWorker?: HashRows;
  /** Replaces the engine's store with the one received with the snapshot at `index`. */
  readonly replaceStore?: (index: number) => Promise<void>;
  /** Speed of the delivery to watchers, if not the default. */
  readonly watchPacing?: WatchPacing;
  /** Starts raft elsewhere than in this thread. */
  readonly startConsensus?: StartConsensus;
  /** Messages to other members. */
  readonly send: (messages: readonly Message[]) => void;
}
