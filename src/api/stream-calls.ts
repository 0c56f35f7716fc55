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

/** Ends a stream with an error: etcd's own, or a message that cannot be read. Anything else is a fault of the server. */
export function endStream(call: StreamCall, error: unknown): void {
  if (error instanceof EtcdError) call.end(error.code, error.message);
  else if (error instanceof WireError) call.end(GrpcCode.Internal, DECODE_FAULT + error.answer);
  else if (error instanceof RevisionGoneError) call.end(errors.Compacted.code, errors.Compacted.message);
  else if (error instanceof EngineReopenedError) call.end(GrpcCode.Unavailable, STORE_REPLACED);
  else throw error;
}

/** Goes on with who opened the stream; without auth at once, with nobody. */
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

/** Whether the stream may begin here and now; ends it otherwise. */
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
 * Ends a stream that asked for a leader when there has been none for too long, and then calls its `onCancel` as for
 * any other end from outside. Takes the call's `onEnded`.
 */
export function whileLed(leaders: LeaderMonitor, call: StreamCall): void {
  if (!wantsLeader(call)) return;
  call.onEnded = leaders.onLost(() => {
    if (call.ended) return;
    endStream(call, errors.NoLeader);
    call.onCancel?.('fault');
  });
}

/** After `write` returned false: waits until the client has taken enough, or until the call has ended. */
export function whenWritable(call: Pick<StreamCall, 'onWritable' | 'onCancel'>): Promise<void> {
  const canceled = call.onCancel;
  return new Promise((resolve) => {
    const goOn = (): void => {
      call.onWritable = undefined;
      // As it was before, or each wait would leave something behind.
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
