import type { UnaryCall } from '../../grpc/unary-call.ts';
import { EtcdError, GrpcCode } from '../../wire/errors.ts';
import { failCall, type ServiceContext } from '../service-context.ts';
import { CallEndedError } from './call-ended-error.ts';

/** The revision for the response's header, and the encoded response without the header. */
export interface Outcome {
  readonly revision: number;
  readonly body?: Buffer;
}

/** An error of the Lock and Election services themselves. As in etcd, its code is Unknown. */
export function recipeError(text: string): EtcdError {
  return new EtcdError(GrpcCode.Unknown, text);
}

/** Answers the call with the outcome. As in etcd, errors of the store and the leases keep only their text. */
export function answer(context: ServiceContext, call: UnaryCall, outcome: Promise<Outcome>): void {
  outcome
    .then(({ revision, body }) => {
      const header = context.headerAt(revision);
      call.respond(body === undefined ? header : [header, body]);
    })
    .catch((error: unknown) => {
      if (error instanceof CallEndedError) return;
      if (error instanceof EtcdError) call.fail(GrpcCode.Unknown, error.message);
      else failCall(call, error);
    });
}
