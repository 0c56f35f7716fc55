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
import type { WatchPacing } from '../mvcc/watch-hub.ts';
import type { HashRows } from './hash-store.ts';
import type { Founding, Identity } from './identity.ts';

/** What a data directory gives, opened. */
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
  /** The founding members, where the member is new and its cluster too; empty for one that joins. */
  readonly founders: Founding['founders'];
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  /** A uniform random integer in [0, bound). */
  readonly randomInt: (bound: number) => number;
  readonly logger: (caller: string) => Logger;
  readonly metrics: Metrics;
  readonly tokens?: TokenAssigner & TokenObserver;
  /** Hashes much history on another thread; without it everything is done on this one. */
  readonly hashElsewhere?: HashRows;
  /** Puts the store received with the snapshot of `index` in the engine's place. */
  readonly replaceStore?: (index: number) => Promise<void>;
  /** How fast watchers are served, where not at the usual pace. */
  readonly watchPacing?: WatchPacing;
  /** Messages to other members. */
  readonly send: (messages: readonly Message[]) => void;
}
