import { type AuthInfo, NOBODY } from '../auth/auth-store.ts';
import type { GrpcServer } from '../grpc/server.ts';
import type { StreamCall } from '../grpc/stream-call.ts';
import type { WatchHub } from '../mvcc/watch-hub.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Clock } from '../ports/clock.ts';
import type { Scheduler } from '../ports/scheduler.ts';
import { errors } from '../wire/errors.ts';
import { Watch } from '../wire/services.ts';
import type { LeaderMonitor } from './leader-monitor.ts';
import type { ServiceContext } from './service-context.ts';
import { WatchStream } from './watch-stream.ts';

/** What watch streams need of the member. */
export interface WatchDeps {
  readonly hub: WatchHub;
  readonly scheduler: Scheduler;
  readonly clock: Clock;
  readonly metrics: Pick<Metrics, 'mvcc'>;
  /** The response header as field 1, for a revision; 0 leaves the revision out. */
  readonly header: (revision: number) => Buffer;
  /**
   * Checks that the caller may watch the whole range. The range is given as in a request.
   *
   * @throws (or rejects) EtcdError if it may not
   */
  readonly checkWatch: (call: StreamCall, key: Buffer, rangeEnd: Buffer) => void | Promise<void>;
  /** The largest request. Responses to watches that allow it are fragmented somewhat above this size. */
  readonly maxRequestBytes: number;
  /** The interval between progress reports of a watch without events. */
  readonly progressIntervalMs: number;
  /** A uniform random integer in [0, bound). */
  readonly randomInt: (bound: number) => number;
  readonly isLearner: () => boolean;
  readonly hasLeader: () => boolean;
  /** Calls back when there has been no leader for too long. Returns a function that cancels this. */
  readonly onLeaderLost: (lost: () => void) => () => void;
}

const HAS_LEADER = 'hasleader';

export interface WatchServiceOptions {
  /** Tells streams that asked for a leader when there is none. */
  readonly leaders: Pick<LeaderMonitor, 'onLost'>;
  /** A uniform random integer in [0, bound). */
  readonly randomInt: (bound: number) => number;
}

/** The Watch service of a member. */
export function registerWatch(context: ServiceContext, { leaders, randomInt }: WatchServiceOptions): void {
  const { member } = context;
  const { config, hub, scheduler } = member;
  serveWatch(context.server, {
    hub,
    scheduler,
    randomInt,
    clock: member.clock,
    metrics: member.metrics,
    header: (revision) => context.headerAt(revision),
    checkWatch: (call, key, rangeEnd) => {
      if (!member.auth.isEnabled) return undefined;
      const check = (who: AuthInfo | undefined): void => {
        const refused = member.auth.checkRange(who ?? NOBODY, key, rangeEnd);
        if (refused !== undefined) throw refused;
      };
      const who = context.identify(call);
      return who instanceof Promise ? who.then(check) : check(who);
    },
    maxRequestBytes: config.maxRequestBytes,
    progressIntervalMs: config.watchProgressNotifyIntervalMs,
    isLearner: () => member.cluster.isLocalLearner,
    hasLeader: () => member.hasLeader,
    onLeaderLost: (lost) => leaders.onLost(lost),
  });
}

/** The Watch service over a watch hub, which something else has to drive. */
export function serveWatch(server: GrpcServer, deps: WatchDeps): void {
  server.stream(Watch.methods.watch, (call) => {
    if (deps.isLearner()) {
      call.end(errors.NotSupportedForLearner.code, errors.NotSupportedForLearner.message);
      return;
    }
    const wantsLeader = call.metadata.get(HAS_LEADER) === 'true';
    if (wantsLeader && !deps.hasLeader()) {
      call.end(errors.NoLeader.code, errors.NoLeader.message);
      return;
    }
    const stream = new WatchStream(call, deps);
    if (wantsLeader) stream.onEnd(deps.onLeaderLost(() => stream.end(errors.NoLeader)));
  });
}
