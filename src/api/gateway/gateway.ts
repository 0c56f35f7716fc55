import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { GrpcServer } from '../../grpc/server.ts';
import { parseTimeout } from '../../grpc/timeout.ts';
import type { MethodDescriptor, ServiceDescriptor } from '../../wire/codec.ts';
import { GrpcCode } from '../../wire/errors.ts';
import * as services from '../../wire/services.ts';
import { replyError, requestUrl } from '../http/reply.ts';
import { replyJsonError } from './json-error.ts';
import { requestMetadata } from './request-metadata.ts';
import { StreamExchange } from './stream-exchange.ts';
import { UnaryExchange } from './unary-exchange.ts';

/** What an exchange needs to make its call. */
export interface GatewayCall {
  readonly server: GrpcServer;
  readonly method: MethodDescriptor;
  readonly metadata: readonly (readonly [string, string])[];
  readonly timeoutMs: number;
  /** Longest JSON text of one message, in bytes. */
  readonly maxTextBytes: number;
}

export interface GatewayOptions {
  readonly server: GrpcServer;
  /** Longest request message, in bytes. */
  readonly maxReceiveBytes: number;
  /** Whether certificates name users at the moment; one that does cannot be used here. */
  readonly certificatesNameUsers: () => boolean;
}

/** In etcd's words: whoever relies on the name of its certificate shall not find out later. */
const NAME_IGNORED =
  'CommonName of client sending a request against gateway will be ignored and not used as expected';

/** JSON takes up to twice as many bytes as the message, with room for names. */
const TEXT_PER_MESSAGE = 2;
const TEXT_ALLOWANCE_BYTES = 64 * 1024;

/**
 * The JSON gateway under /v3/: each method of each service by its routes, streams included. The calls are the
 * server's own, made inside the process; the client's token goes along, its certificate does not count.
 */
export function createGateway({ server, maxReceiveBytes, certificatesNameUsers }: GatewayOptions) {
  const methods = methodsByRoute();
  const maxTextBytes = TEXT_PER_MESSAGE * maxReceiveBytes + TEXT_ALLOWANCE_BYTES;
  return (request: IncomingMessage, response: ServerResponse): void => {
    if (certificatesNameUsers() && namesUser(request.socket)) {
      replyError(response, 400, NAME_IGNORED);
      return;
    }
    const method = methods.get(requestUrl(request).path);
    if (method === undefined) {
      replyJsonError(response, GrpcCode.NotFound, 'Not Found');
      return;
    }
    if (request.method !== 'POST') {
      replyJsonError(response, GrpcCode.Unimplemented, 'Method Not Allowed');
      return;
    }
    const timeoutMs = timeoutOf(request);
    if (timeoutMs === undefined) {
      const given = String(request.headers['grpc-timeout']);
      replyJsonError(response, GrpcCode.InvalidArgument, `invalid grpc-timeout: ${given}`);
      return;
    }
    const call: GatewayCall = { server, method, metadata: requestMetadata(request), timeoutMs, maxTextBytes };
    if (method.clientStreaming || method.serverStreaming) new StreamExchange(call, request, response).start();
    else new UnaryExchange(call, request, response).start();
  };
}

function namesUser(socket: Socket): boolean {
  return socket instanceof TLSSocket && socket.authorized && Boolean(socket.getPeerCertificate().subject.CN);
}

function methodsByRoute(): ReadonlyMap<string, MethodDescriptor> {
  const methods = new Map<string, MethodDescriptor>();
  for (const service of Object.values<ServiceDescriptor>(services)) {
    for (const method of Object.values(service.methods)) {
      for (const route of method.routes) methods.set(route, method);
    }
  }
  return methods;
}

function timeoutOf({ headers }: IncomingMessage): number | undefined {
  const given = headers['grpc-timeout'];
  if (given === undefined) return -1;
  const parsed = parseTimeout(String(given));
  return typeof parsed === 'number' ? parsed : undefined;
}
