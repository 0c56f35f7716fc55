import type { IncomingMessage, ServerResponse } from 'node:http';
import type { LeaseRefusal, PeerService } from '../ports/peer-client.ts';
import { LeaseKeepAliveRequest, LeaseKeepAliveResponse, ResponseHeader } from '../wire/gen/etcdserverpb.ts';
import { LeaseTimeToLiveResponse } from '../wire/gen/etcdserverpb.ts';
import { LeaseInternalRequest, LeaseInternalResponse } from '../wire/gen/leasepb.ts';
import { replyBody, replyError } from './reply.ts';
import { BodyTooLargeError, readBody } from './request.ts';

export const LEASES_PATH = '/leases';
export const LEASES_INTERNAL_PATH = '/leases/internal';

/** Texts by which the other side recognizes refusals. */
export const LeaseText = {
  'not-found': 'lease not found',
  'not-primary': 'not a primary lessor',
  behind: 'waiting for node to catch up its applied index has timed out',
} as const satisfies Record<LeaseRefusal, string>;

const MAX_REQUEST_BYTES = 64 * 1024;

/** Serves lease renewals and TTL requests, which only the leader can answer. */
export async function serveLeases(
  service: PeerService,
  { request, response, path }: { request: IncomingMessage; response: ServerResponse; path: string },
): Promise<void> {
  if (request.method !== 'POST') {
    replyError(response, 405, 'Method Not Allowed');
    return;
  }
  let body: Buffer;
  try {
    body = await readBody(request, MAX_REQUEST_BYTES);
  } catch (error) {
    if (error instanceof BodyTooLargeError) replyError(response, 413, 'request body too large');
    else replyError(response, 400, 'error reading body');
    return;
  }
  if (path === LEASES_PATH) await renew(service, body, response);
  else await timeToLive(service, body, response);
}

async function renew(service: PeerService, body: Buffer, response: ServerResponse): Promise<void> {
  const request = decoded(() => LeaseKeepAliveRequest.decode(body), response);
  if (request === undefined) return;
  const ttl = await service.renewLease(request.id);
  if (typeof ttl === 'string') refuse(response, ttl, 400);
  else
    replyProtobuf(
      response,
      LeaseKeepAliveResponse.encode(LeaseKeepAliveResponse.create({ id: request.id, ttl })),
    );
}

async function timeToLive(service: PeerService, body: Buffer, response: ServerResponse): Promise<void> {
  const request = decoded(() => LeaseInternalRequest.decode(body), response);
  if (request === undefined) return;
  const { leaseTimeToLiveRequest } = request;
  if (leaseTimeToLiveRequest === undefined) {
    replyError(response, 400, 'error unmarshalling request');
    return;
  }
  const { id, keys: withKeys } = leaseTimeToLiveRequest;
  const lease = await service.leaseTimeToLive(id, withKeys);
  if (typeof lease === 'string') {
    refuse(response, lease, 500);
    return;
  }
  const { ttl, grantedTtl, keys } = lease;
  const answer = LeaseTimeToLiveResponse.create({
    id,
    ttl,
    grantedTtl,
    header: ResponseHeader.create(),
    keys: withKeys ? [...keys] : [],
  });
  replyProtobuf(response, LeaseInternalResponse.encode({ leaseTimeToLiveResponse: answer }));
}

function decoded<T>(decode: () => T, response: ServerResponse): T | undefined {
  try {
    return decode();
  } catch {
    replyError(response, 400, 'error unmarshalling request');
    return undefined;
  }
}

function refuse(response: ServerResponse, refusal: LeaseRefusal, notPrimaryStatus: number): void {
  const status = { 'not-found': 404, behind: 408, 'not-primary': notPrimaryStatus }[refusal];
  replyError(response, status, LeaseText[refusal]);
}

function replyProtobuf(response: ServerResponse, body: Buffer): void {
  replyBody(response, { type: 'application/protobuf', body });
}
