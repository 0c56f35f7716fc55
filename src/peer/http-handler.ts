import type { IncomingMessage, ServerResponse } from 'node:http';
import { hex, reasonOf } from '../lib/text.ts';
import type { Logger } from '../ports/logger.ts';
import type { PeerService, RemoteHash, RemoteStatus } from '../ports/peer-client.ts';
import { errors } from '../wire/errors.ts';
import { header, Refusal } from './compatibility.ts';
import { LEASES_INTERNAL_PATH, LEASES_PATH, serveLeases } from './lease-requests.ts';
import { encodeMembers } from './members-json.ts';
import { replyBody, replyError, replyMessage, replyMethodNotAllowed } from './reply.ts';
import { pathOf } from './raft-requests.ts';
import { REJOIN_PATH, serveRejoin } from './rejoin-requests.ts';
import { readBody } from './request.ts';
import { encodeStatus, STATUS_PATH } from './status-requests.ts';

export const MEMBERS_PATH = '/members';
export const PROMOTE_PREFIX = '/members/promote/';
export const HASH_KV_PATH = '/members/hashkv';
export const DOWNGRADE_PATH = '/downgrade/enabled';
export const VERSION_PATH = '/version';

/** Texts by which the other side recognizes errors. They differ from those for clients. */
export const AnswerText = {
  MemberNotFound: 'membership: ID not found',
  MemberNotLearner: 'membership: can only promote a learner member',
  LearnerNotReady: 'etcdserver: can only promote a learner member which is in sync with leader',
  Compacted: 'mvcc: required revision has been compacted',
  FutureRev: 'mvcc: required revision is a future revision',
} as const;

const MAX_REQUEST_BYTES = 64 * 1024;

export interface PeerHttpOptions {
  readonly service: PeerService;
  /** The version that this member reports. */
  readonly serverVersion: string;
  /** Undefined if this member does not say it. */
  readonly status?: () => RemoteStatus;
  readonly logger: Logger;
  /** Serves the paths under `/raft`. */
  readonly raft: (request: IncomingMessage, response: ServerResponse) => void;
}

export type PeerHttpHandler = (request: IncomingMessage, response: ServerResponse) => void;

/** Handles all requests on the peer URLs of a member. */
export function createPeerHttpHandler(options: PeerHttpOptions): PeerHttpHandler {
  return (request, response) => {
    const path = pathOf(request);
    if (path === '/raft' || path.startsWith('/raft/')) {
      options.raft(request, response);
      return;
    }
    route(options, { request, response, path }).catch((error: unknown) => {
      options.logger.warn('failed to serve a request of a peer', {
        path,
        error: reasonOf(error),
      });
      replyMessage(response, 500, 'Internal Server Error');
    });
  };
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly path: string;
}

async function route(options: PeerHttpOptions, exchange: Exchange): Promise<void> {
  const { path, response } = exchange;
  const { service } = options;
  if (path === LEASES_PATH || path === LEASES_INTERNAL_PATH) await serveLeases(service, exchange);
  else if (path === REJOIN_PATH) await serveRejoin(service, exchange);
  else if (path.startsWith(PROMOTE_PREFIX)) await promote(options, exchange);
  else if (path === HASH_KV_PATH) await hashKv(options, exchange);
  else if (path === DOWNGRADE_PATH) await downgradeEnabled(service, exchange);
  else if (path === MEMBERS_PATH) members(service, exchange);
  else if (path === VERSION_PATH) version(options, exchange);
  else if (path === STATUS_PATH && options.status !== undefined) serveStatus(options.status(), exchange);
  else replyError(response, 404, '404 page not found');
}

/** Whether the method is allowed. Responds to the request if it is not. */
function allows(method: 'GET' | 'POST', { request, response }: Exchange): boolean {
  if (request.method === method) return true;
  replyMethodNotAllowed(response, method);
  return false;
}

function nameCluster({ clusterId }: PeerService, { response }: Exchange): void {
  response.setHeader('X-Etcd-Cluster-ID', hex(clusterId));
}

function members(service: PeerService, exchange: Exchange): void {
  if (!allows('GET', exchange)) return;
  nameCluster(service, exchange);
  replyBody(exchange.response, { type: 'application/json', body: encodeMembers(service.members()) });
}

function version({ service, serverVersion }: PeerHttpOptions, exchange: Exchange): void {
  if (!allows('GET', exchange)) return;
  const { cluster, storage } = service.versions();
  const body = JSON.stringify({ etcdserver: serverVersion, etcdcluster: cluster, storage });
  replyBody(exchange.response, { type: 'application/json', body });
}

function serveStatus(status: RemoteStatus, exchange: Exchange): void {
  if (!allows('GET', exchange)) return;
  replyBody(exchange.response, { type: 'application/json', body: encodeStatus(status) });
}

async function promote({ service, logger }: PeerHttpOptions, exchange: Exchange): Promise<void> {
  if (!allows('POST', exchange)) return;
  const { request, response, path } = exchange;
  nameCluster(service, exchange);
  const idText = path.slice(PROMOTE_PREFIX.length);
  const id = decimalId(idText);
  if (id === undefined) {
    replyError(response, 404, `member ${idText} not found in cluster`);
    return;
  }
  try {
    const promoted = await service.promote(id, header(request.headers, 'authorization'));
    replyBody(response, { type: 'application/json', body: encodeMembers(promoted) });
  } catch (error) {
    logger.warn('failed to promote a member', { 'member-id': hex(id), error: String(error) });
    if (error === errors.MemberNotFound) replyError(response, 404, AnswerText.MemberNotFound);
    else if (error === errors.MemberNotLearner) replyError(response, 412, AnswerText.MemberNotLearner);
    else if (error === errors.LearnerNotReady) replyError(response, 412, AnswerText.LearnerNotReady);
    else replyMessage(response, 500, 'Internal Server Error');
  }
}

function decimalId(text: string): bigint | undefined {
  if (!/^\d{1,20}$/.test(text)) return undefined;
  const id = BigInt(text);
  return BigInt.asUintN(64, id) === id ? id : undefined;
}

async function hashKv({ service }: PeerHttpOptions, exchange: Exchange): Promise<void> {
  if (!allows('GET', exchange)) return;
  const { request, response } = exchange;
  const asked = header(request.headers, 'x-etcd-cluster-id');
  if (asked !== undefined && asked !== '' && asked !== hex(service.clusterId)) {
    replyError(response, 412, Refusal.Cluster);
    return;
  }
  const revision = revisionOf(await readBody(request, MAX_REQUEST_BYTES));
  if (revision === undefined) {
    replyError(response, 400, 'error unmarshalling request');
    return;
  }
  let hash: RemoteHash;
  try {
    hash = await service.hashKv(revision);
  } catch (error) {
    replyError(response, 400, hashFailure(error));
    return;
  }
  nameCluster(service, exchange);
  replyBody(response, { type: 'application/json', body: encodeHash(hash) });
}

function hashFailure(error: unknown): string {
  if (error === errors.Compacted) return AnswerText.Compacted;
  if (error === errors.FutureRev) return AnswerText.FutureRev;
  return reasonOf(error);
}

/** @returns undefined for an invalid request */
function revisionOf(body: Buffer): number | undefined {
  let request: unknown;
  try {
    request = JSON.parse(body.toString());
  } catch {
    return undefined;
  }
  if (typeof request !== 'object' || request === null) return undefined;
  const revision = 'revision' in request ? request.revision : 0;
  return typeof revision === 'number' && Number.isSafeInteger(revision) ? revision : undefined;
}

/** Encodes the response as Go does: zeros are omitted. */
function encodeHash({ revision, hash, compactRevision, hashRevision }: RemoteHash): string {
  return JSON.stringify({
    header: revision === 0 ? {} : { revision },
    ...(hash === 0 ? {} : { hash }),
    ...(compactRevision === 0 ? {} : { compact_revision: compactRevision }),
    ...(hashRevision === 0 ? {} : { hash_revision: hashRevision }),
  });
}

async function downgradeEnabled(service: PeerService, exchange: Exchange): Promise<void> {
  if (!allows('GET', exchange)) return;
  nameCluster(service, exchange);
  try {
    const enabled = await service.downgradeEnabled();
    replyBody(exchange.response, { type: 'text/plain', body: String(enabled) });
  } catch (error) {
    const reason = reasonOf(error);
    replyError(exchange.response, 500, `failed linearized read: ${reason}`);
  }
}
