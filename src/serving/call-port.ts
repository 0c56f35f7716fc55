import type { LocalCall, LocalRequest, LocalSink } from '../grpc/local-call.ts';
import type { HeldAccount } from '../http2/held-bytes.ts';

/**
 * The port between serving and core: one call with its messages in both directions. `GrpcServer` implements it inside
 * the core's thread, for the JSON gateway and for the calls of serving threads.
 */
export interface CallPort {
  callLocally(request: LocalRequest, sink: LocalSink): LocalCall | undefined;
  /** An account for the memory of one client. */
  heldAccount(): HeldAccount;
}
