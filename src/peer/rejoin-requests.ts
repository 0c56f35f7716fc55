import type { IncomingMessage, ServerResponse } from 'node:http';
import { hex } from '../lib/text.ts';
import type { PeerService, RemoteRejoin } from '../ports/peer-client.ts';
import { EtcdError, errors, GrpcCode } from '../wire/errors.ts';
import { parseId } from './member-id.ts';
import { replyBody, replyError, replyMethodNotAllowed } from './reply.ts';
import { readBody } from './request.ts';

/*
 * The request of a member that has lost its data: POST with `{"memberID":"<hex>","clusterID":"<hex>","peerURLs":[...]}`.
 * The leader responds with the new id in hexadecimal digits. etcd has no such request and responds with 404.
 */
export const REJOIN_PATH = '/keystead/rejoin';

const MAX_REQUEST_BYTES = 64 * 1024;
const MAX_URLS = 16;

export function encodeRejoin({ clusterId, id, peerUrls }: RemoteRejoin): Buffer {
  return Buffer.from(JSON.stringify({ memberID: hex(id), clusterID: hex(clusterId), peerURLs: peerUrls }));
}

/** Returns undefined if the text is not such a request. */
export function decodeRejoin(text: string): RemoteRejoin | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const fields = value as Readonly<Record<string, unknown>>;
  const id = idOf(fields['memberID']);
  const clusterId = idOf(fields['clusterID']);
  const peerUrls = fields['peerURLs'];
  if (id === undefined || clusterId === undefined || !areUrls(peerUrls)) return undefined;
  return { id, clusterId, peerUrls };
}

export async function serveRejoin(
  service: PeerService,
  { request, response }: { readonly request: IncomingMessage; readonly response: ServerResponse },
): Promise<void> {
  if (request.method !== 'POST') {
    replyMethodNotAllowed(response, 'POST');
    return;
  }
  const rejoin = decodeRejoin((await readBody(request, MAX_REQUEST_BYTES)).toString());
  if (rejoin === undefined) replyError(response, 400, 'error unmarshalling request');
  else if (rejoin.clusterId !== service.clusterId)
    replyError(response, 412, 'keystead: cannot rejoin: the member belongs to another cluster');
  else await replyNewId(service, rejoin, response);
}

async function replyNewId(
  service: PeerService,
  rejoin: RemoteRejoin,
  response: ServerResponse,
): Promise<void> {
  try {
    const id = await service.rejoin(rejoin.id, rejoin.peerUrls);
    replyBody(response, { type: 'text/plain; charset=utf-8', body: hex(id) });
  } catch (error) {
    if (error === errors.NotLeader) replyError(response, 503, errors.NotLeader.message);
    else if (error instanceof EtcdError) replyError(response, 412, error.message);
    else throw error;
  }
}

/** @throws EtcdError if the leader refuses; undefined if the member is not the leader or does not know the request */
export function readNewId(status: number, text: string): bigint | undefined {
  if (status === 412) throw new EtcdError(GrpcCode.FailedPrecondition, text.trim());
  return status === 200 ? parseId(text.trim()) : undefined;
}

function idOf(value: unknown): bigint | undefined {
  return typeof value === 'string' ? parseId(value) : undefined;
}

function areUrls(value: unknown): value is string[] {
  return (
    Array.isArray(value) &&
    value.length > 0 &&
    value.length <= MAX_URLS &&
    value.every((url) => typeof url === 'string')
  );
}
