import type { StreamCall } from '../grpc/stream-call.ts';
import { EtcdError, GrpcCode } from '../wire/errors.ts';
import type { ServiceContext } from './service-context.ts';

/** The standard gRPC health service, written by hand: its messages are a name and an enum. */
const SERVICE = 'grpc.health.v1.Health';
const SERVING = Buffer.from([0x08, 0x01]);
const NOT_SERVING = Buffer.from([0x08, 0x02]);
const SERVICE_UNKNOWN = Buffer.from([0x08, 0x03]);
const NAME_TAG = 0x0a;

const check = { name: 'Check', path: `/${SERVICE}/Check`, clientStreaming: false, serverStreaming: false };
const watch = { name: 'Watch', path: `/${SERVICE}/Watch`, clientStreaming: false, serverStreaming: true };

/** The serving status for health checks. */
export interface Health {
  /** Watchers are told at once. */
  setServing(isServing: boolean): void;
}

/** etcd reports the whole server under the empty name. */
export function registerHealth({ server }: ServiceContext): Health {
  let status = SERVING;
  const watching = new Set<StreamCall>();
  server.unary(check, (call, request) => {
    if (serviceName(request) === '') call.respond(status);
    else call.fail(unknownService.code, unknownService.message);
  });
  server.stream(watch, (call) => {
    call.onMessage = (request) => {
      if (serviceName(request) !== '') {
        call.write(SERVICE_UNKNOWN);
        return;
      }
      watching.add(call);
      call.write(status);
    };
    call.onEnded = () => watching.delete(call);
  });
  return {
    setServing: (isServing) => {
      const next = isServing ? SERVING : NOT_SERVING;
      if (next === status) return;
      status = next;
      for (const call of watching) call.write(status);
    },
  };
}

const unknownService = new EtcdError(GrpcCode.NotFound, 'unknown service');

/** Names are short: one byte of length is enough for each name that exists. */
function serviceName(request: Buffer): string {
  if (request[0] !== NAME_TAG) return '';
  return request.subarray(2, 2 + (request[1] ?? 0)).toString();
}
