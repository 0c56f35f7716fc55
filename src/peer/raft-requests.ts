import type { IncomingMessage, ServerResponse } from 'node:http';
import { hex, reasonOf } from '../lib/text.ts';
import { Message } from '../wire/gen/raftpb.ts';
import { header, refusalOf } from './compatibility.ts';
import { HEARTBEAT_HEADER, HEARTBEAT_INTERVAL_MS, type PeerContext } from './context.ts';
import { parseId } from './member-id.ts';
import { MAX_MESSAGE_BYTES } from './message-codec.ts';
import type { Peer } from './peer.ts';
import type { PeerStatus } from './peer-status.ts';
import { replyBody, replyError, replyMethodNotAllowed } from './reply.ts';
import { readBody } from './request.ts';
import { messageRefusal } from './message-refusal.ts';
import { IncomingParts, partOf, SNAPSHOT_ID_HEADER, SNAPSHOT_KEPT_HEADER } from './snapshot-parts.ts';
import { receiveSnapshot } from './snapshot-receiver.ts';
import { StreamKind, streamKinds } from './stream-codec.ts';

/** The known peers. */
export interface PeerTable {
  peer(id: bigint): Peer | undefined;
  /** Status of a peer, or of a remote that is not in the configuration yet. */
  status(id: bigint): PeerStatus | undefined;
  addRemote(id: bigint, urls: readonly string[]): void;
}

const STREAM_PREFIX = '/raft/stream/';

/** Serves the requests of other members under `/raft`. */
export class RaftRequests {
  readonly #context: PeerContext;
  readonly #table: PeerTable;
  readonly #snapshots = new IncomingParts();

  constructor(context: PeerContext, table: PeerTable) {
    this.#context = context;
    this.#table = table;
  }

  serve(request: IncomingMessage, response: ServerResponse): void {
    const path = pathOf(request);
    if (path === '/raft/probing') this.#probe(response);
    else if (path.startsWith(STREAM_PREFIX)) this.#stream(request, response, path);
    else if (path === '/raft' || path === '/raft/snapshot') this.#post(request, response, path);
    else replyError(response, 404, '404 page not found');
  }

  #probe(response: ServerResponse): void {
    const now = new Date(this.#context.clock.wall()).toISOString();
    replyBody(response, { type: 'text/plain; charset=utf-8', body: `{"OK":true,"Now":"${now}"}\n` });
  }

  #stream(request: IncomingMessage, response: ServerResponse, path: string): void {
    const { local, handler } = this.#context;
    if (request.method !== 'GET') {
      replyMethodNotAllowed(response, 'GET');
      return;
    }
    response.setHeader('X-Server-Version', local.serverVersion);
    if (this.#isRefused(request, response)) return;
    const [name, idText, ...more] = path.slice(STREAM_PREFIX.length).split('/');
    const kind = more.length === 0 ? streamKinds.find((known) => known === name) : undefined;
    const from = parseId(idText);
    if (kind === undefined) replyError(response, 404, 'invalid path');
    else if (from === undefined) replyError(response, 404, 'invalid from');
    else if (handler.isIdRemoved(from)) replyError(response, 410, 'removed member');
    else this.#attach(request, response, { kind, from });
  }

  #attach(
    request: IncomingMessage,
    response: ServerResponse,
    { kind, from }: { kind: StreamKind; from: bigint },
  ): void {
    const { local, logger } = this.#context;
    const peer = this.#table.peer(from);
    if (peer === undefined) {
      // It may have joined after the last entry that this member has applied.
      this.#noteSender(request, from);
      logger.warn('an unknown member requested a stream', {
        'remote-peer-id': hex(from),
      });
      replyError(response, 404, 'error sender not found');
      return;
    }
    if (header(request.headers, 'x-raft-to') !== hex(local.localId)) {
      replyError(response, 412, 'to field mismatch');
      return;
    }
    const { socket } = request;
    response.writeHead(200, { 'Transfer-Encoding': 'chunked', [HEARTBEAT_HEADER]: HEARTBEAT_INTERVAL_MS });
    response.flushHeaders();
    socket.setNoDelay(true);
    socket.setTimeout(0);
    peer.attach(kind, socket);
    logger.info('opened stream to peer', { 'stream-type': kind, 'remote-peer-id': hex(from) });
  }

  /** Responds with the number of bytes kept from an interrupted snapshot transfer. */
  async #keptSnapshot(request: IncomingMessage, response: ServerResponse, id: string): Promise<void> {
    if (this.#isRefused(request, response)) return;
    await this.#snapshots.end(id);
    const kept = this.#context.handler.keptOfSnapshot(id);
    response.writeHead(204, { [SNAPSHOT_KEPT_HEADER]: kept }).end();
  }

  #snapshot(
    request: IncomingMessage,
    response: ServerResponse,
    status: PeerStatus | undefined,
  ): Promise<void> {
    const part = partOf(request.headers);
    if (part === undefined) {
      replyError(response, 400, 'invalid range');
      return Promise.resolve();
    }
    const received = receiveSnapshot(this.#context, { request, response, status, part });
    this.#snapshots.track(part.id, request, received);
    return received;
  }

  #post(request: IncomingMessage, response: ServerResponse, path: string): void {
    const asksFor = path === '/raft/snapshot' ? header(request.headers, SNAPSHOT_ID_HEADER) : undefined;
    if (request.method === 'GET' && asksFor !== undefined) {
      void this.#keptSnapshot(request, response, asksFor);
      return;
    }
    if (request.method !== 'POST') {
      replyMethodNotAllowed(response, 'POST');
      return;
    }
    if (this.#isRefused(request, response)) return;
    const from = parseId(header(request.headers, 'x-server-from'));
    if (from !== undefined) this.#noteSender(request, from);
    const status = from === undefined ? undefined : this.#table.status(from);
    const work =
      path === '/raft' ? this.#message(request, response) : this.#snapshot(request, response, status);
    work.catch((error: unknown) => {
      this.#context.logger.warn('failed to serve a request of a peer', {
        path,
        error: reasonOf(error),
      });
      response.destroy();
    });
  }

  async #message(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { handler } = this.#context;
    let body: Buffer;
    try {
      body = await readBody(request, MAX_MESSAGE_BYTES);
    } catch {
      replyError(response, 400, 'error reading raft message');
      return;
    }
    const message = decoded(body);
    if (message === undefined) {
      replyError(response, 400, 'error unmarshalling raft message');
      return;
    }
    const status = this.#table.status(message.from);
    if (status !== undefined) status.receivedBytes += body.length;
    if ((messageRefusal(this.#context, message) ?? handler.onMessages([message])) === undefined)
      response.writeHead(204).end();
    else replyError(response, 500, 'error processing raft message');
  }

  #isRefused(request: IncomingMessage, response: ServerResponse): boolean {
    const { local, logger } = this.#context;
    response.setHeader('X-Etcd-Cluster-ID', hex(local.clusterId));
    const refusal = refusalOf(request.headers, local);
    if (refusal === undefined) return false;
    logger.warn('refused a request of another member', {
      error: refusal,
      'remote-peer-id': header(request.headers, 'x-server-from') ?? '',
      'remote-peer-cluster-id': header(request.headers, 'x-etcd-cluster-id') ?? '',
      'remote-peer-server-version': header(request.headers, 'x-server-version') ?? '',
    });
    replyError(response, 412, refusal);
    return true;
  }

  #noteSender(request: IncomingMessage, from: bigint): void {
    const urls = header(request.headers, 'x-peerurls');
    if (urls === undefined || urls === '') return;
    try {
      this.#table.addRemote(from, urls.split(','));
    } catch {
      this.#context.logger.warn('a member reports invalid peer URLs', { urls });
    }
  }
}

function decoded(body: Buffer): Message | undefined {
  try {
    return Message.decode(body);
  } catch {
    return undefined;
  }
}

export function pathOf(request: IncomingMessage): string {
  const target = request.url ?? '/';
  const mark = target.indexOf('?');
  return mark < 0 ? target : target.slice(0, mark);
}
