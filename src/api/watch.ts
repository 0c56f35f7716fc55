import type { GrpcServer } from '../grpc/server.ts';
import type { StreamCall } from '../grpc/stream-call.ts';
import type { WatchHub } from '../mvcc/watch-hub.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Clock } from '../ports/clock.ts';
import type { Scheduler } from '../ports/scheduler.ts';
import { errors } from '../wire/errors.ts';
import { Watch } from '../wire/services.ts';
import { WatchStream } from './watch-stream.ts';

/** What the Watch service needs of the server. */
export interface WatchDeps {
  readonly hub: WatchHub;
  readonly scheduler: Scheduler;
  readonly clock: Clock;
  readonly metrics: Pick<Metrics, 'mvcc'>;
  /** The response header as field 1, for a revision (0 leaves it out). */
  readonly header: (revision: number) => Buffer;
  /**
   * Whether the caller may watch all of the range, given as in a request.
   *
   * @throws (or rejects) EtcdError if not
   */
  readonly checkWatch: (call: StreamCall, key: Buffer, rangeEnd: Buffer) => void | Promise<void>;
  /** The largest request; responses to watches that allow it are fragmented somewhat above it. */
  readonly maxRequestBytes: number;
  /** Between two progress reports of a watch that has no events. */
  readonly progressIntervalMs: number;
  /** A uniform random integer in [0, bound). */
  readonly randomInt: (bound: number) => number;
  readonly isLearner: () => boolean;
  readonly hasLeader: () => boolean;
  /** Calls back when there has been no leader for too long. The function returned takes that back. */
  readonly onLeaderLost: (lost: () => void) => () => void;
}

const HAS_LEADER = 'hasleader';

/** The Watch service. */
export function registerWatch(server: GrpcServer, deps: WatchDeps): void {
  driveHub(deps);
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

/** Steps the hub while someone is behind, once a turn of the event loop, and times its pauses. */
function driveHub({ hub, scheduler }: WatchDeps): void {
  let scheduled = false;
  const schedule = (): void => {
    if (scheduled) return;
    scheduled = true;
    scheduler.soon(() => {
      scheduled = false;
      if (hub.step()) schedule();
    });
  };
  hub.onBacklog = schedule;
  hub.onPause = (pauseMs) => scheduler.after(pauseMs, () => hub.flush(true));
}
