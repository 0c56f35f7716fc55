import type { AuthInfo } from '../auth/auth-store.ts';
import type { StreamCall } from '../grpc/stream-call.ts';
import { RevisionGoneError } from '../mvcc/revision-reads.ts';
import { EngineReopenedError } from '../ports/engine.ts';
import { EtcdError, errors, GrpcCode } from '../wire/errors.ts';
import { WireError } from '../wire/wire-error.ts';
import type { LeaderMonitor } from './leader-monitor.ts';
import { type MethodOptions, type ServiceContext, STORE_REPLACED } from './service-context.ts';

export type StreamIdentity = AuthInfo | undefined;

const DECODE_FAULT = 'grpc: failed to unmarshal the received message: ';

/**
 * Ends a stream with an error: etcd's own, or a message that cannot be decoded. Any other error is a bug in the
 * server.
 */
export function endStream(call: StreamCall, error: unknown): void {
  if (error instanceof EtcdError) call.end(error.code, error.message);
  else if (error instanceof WireError) call.end(GrpcCode.Internal, DECODE_FAULT + error.answer);
  else if (error instanceof RevisionGoneError) call.end(errors.Compacted.code, errors.Compacted.message);
  else if (error instanceof EngineReopenedError) call.end(GrpcCode.Unavailable, STORE_REPLACED);
  else throw error;
}

/** Calls back with the user that opened the stream. Without auth it calls back at once, without a user. */
export function streamIdentity(
  context: ServiceContext,
  call: StreamCall,
  next: (who: StreamIdentity) => void,
): void {
  if (!context.member.auth.isEnabled) {
    next(undefined);
    return;
  }
  const who = context.identify(call);
  if (!(who instanceof Promise)) {
    next(who);
    return;
  }
  who.then(next).catch((error: unknown) => endStream(call, error));
}

const HAS_LEADER = 'hasleader';

function wantsLeader(call: StreamCall): boolean {
  return call.metadata.get(HAS_LEADER) === 'true';
}

/** Whether this member may serve the stream now. If not, ends it. */
export function admitStream(
  { member }: ServiceContext,
  call: StreamCall,
  { learner = false }: MethodOptions = {},
): boolean {
  if (!learner && member.cluster.isLocalLearner) endStream(call, errors.NotSupportedForLearner);
  else if (!member.hasLeader && wantsLeader(call)) endStream(call, errors.NoLeader);
  else return true;
  return false;
}

/**
 * Ends a stream that requires a leader when there has been none for too long. It then calls the stream's `onCancel`,
 * as for any other end from outside. It sets the call's `onEnded`.
 */
export function endWithoutLeader(leaders: LeaderMonitor, call: StreamCall): void {
  if (!wantsLeader(call)) return;
  call.onEnded = leaders.onLost(() => {
    if (call.ended) return;
    endStream(call, errors.NoLeader);
    call.onCancel?.('fault');
  });
}

/** Call this after `write` returned false. Waits until the client has read enough, or until the call has ended. */
export function whenWritable(call: Pick<StreamCall, 'onWritable' | 'onCancel'>): Promise<void> {
  const canceled = call.onCancel;
  return new Promise((resolve) => {
    const goOn = (): void => {
      call.onWritable = undefined;
      // Restored, so that waits leave no callbacks behind.
      call.onCancel = canceled;
      resolve();
    };
    call.onWritable = goOn;
    call.onCancel = (reason) => {
      goOn();
      canceled?.(reason);
    };
  });
}
