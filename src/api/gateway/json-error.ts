import type { ServerResponse } from 'node:http';
import { GrpcCode } from '../../wire/errors.ts';
import { reply } from '../http/reply.ts';

const STATUS: Readonly<Record<number, number>> = {
  [GrpcCode.OK]: 200,
  [GrpcCode.Canceled]: 499,
  [GrpcCode.Unknown]: 500,
  [GrpcCode.InvalidArgument]: 400,
  [GrpcCode.DeadlineExceeded]: 504,
  [GrpcCode.NotFound]: 404,
  [GrpcCode.AlreadyExists]: 409,
  [GrpcCode.PermissionDenied]: 403,
  [GrpcCode.ResourceExhausted]: 429,
  [GrpcCode.FailedPrecondition]: 400,
  [GrpcCode.Aborted]: 409,
  [GrpcCode.OutOfRange]: 400,
  [GrpcCode.Unimplemented]: 501,
  [GrpcCode.Internal]: 500,
  [GrpcCode.Unavailable]: 503,
  [GrpcCode.DataLoss]: 500,
  [GrpcCode.Unauthenticated]: 401,
};

/** The HTTP status for a gRPC code, as grpc-gateway maps them. */
export function httpStatus(code: number): number {
  return STATUS[code] ?? 500;
}

/** The body of an error. */
export function errorBody(code: number, message: string): string {
  return JSON.stringify({ code, message });
}

/** Answers with an error before anything else has been sent. */
export function replyJsonError(response: ServerResponse, code: number, message: string): void {
  const challenge = code === GrpcCode.Unauthenticated ? ([['WWW-Authenticate', message]] as const) : [];
  const headers = [['Content-Type', 'application/json'], ...challenge] as const;
  reply(response, httpStatus(code), headers, errorBody(code, message));
}
