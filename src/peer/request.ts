import { request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Socket } from 'node:net';
import type { Server, ConnectionOptions, TLSSocket } from 'node:tls';
import type { RequestAgents } from './request-agents.ts';
import type { RequestPlace } from './request-place.ts';

/** TLS between members. Both sides reload changed certificate files. */
export interface PeerTls {
  /** Options for an outgoing connection. */
  connectOptions(): ConnectionOptions;
  /** A listener that passes on connections after all checks. */
  createServer(onSocket: (socket: TLSSocket) => void): Server;
}

/**
 * Milliseconds for a TLS handshake after the connection is established, as in etcd. A member that is busy or was stopped
 * has many handshakes to do, and the handshakes that were given up delay the others.
 */
export const TLS_HANDSHAKE_TIMEOUT_MS = 10_000;

export interface RequestOptions {
  readonly method: 'GET' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: PeerTls | undefined;
  /** Keeps connections for further requests; undefined for a new connection. */
  readonly agents: RequestAgents | undefined;
  /** Milliseconds to establish the connection, without TLS. */
  readonly dialTimeoutMs: number;
  /** Local address of the connection; undefined for the system's choice. */
  readonly localAddress?: string | undefined;
  /** Milliseconds without a byte in either direction after which the request fails. */
  readonly idleTimeoutMs: number;
}

/** Starts a request. Nothing is sent before its body ends or is flushed. Failures are `error` events. */
export function openRequest(place: RequestPlace, options: RequestOptions): ClientRequest {
  const { method, headers, tls, agents, localAddress } = options;
  const request = place.isSecure
    ? httpsRequest({
        ...place.options,
        ...tls?.connectOptions(),
        method,
        headers,
        localAddress,
        agent: agents?.https ?? false,
      })
    : httpRequest({ ...place.options, method, headers, localAddress, agent: agents?.http ?? false });
  request.setNoDelay(true);
  request.once('socket', (socket: Socket) => {
    setTimeouts(request, socket, place.isSecure, options);
  });
  return request;
}

function setTimeouts(
  request: ClientRequest,
  socket: Socket,
  isSecure: boolean,
  { dialTimeoutMs, idleTimeoutMs }: RequestOptions,
): void {
  request.setTimeout(idleTimeoutMs, () => {
    const { bytesRead } = socket;
    // After a pause of this process the timer fires before the bytes that have arrived are read.
    setImmediate(() => {
      if (socket.bytesRead === bytesRead)
        request.destroy(new IdleTimeoutError('nothing sent or received for too long'));
    });
  });
  if (!socket.connecting) return;
  const limit = (step: string, limitMs: number, end: string): void => {
    const timer = setTimeout(() => request.destroy(new Error(`no ${step} within ${limitMs} ms`)), limitMs);
    socket.once(end, () => clearTimeout(timer));
    request.once('close', () => clearTimeout(timer));
  };
  limit('connection', dialTimeoutMs, 'connect');
  if (isSecure)
    socket.once('connect', () => limit('TLS handshake', TLS_HANDSHAKE_TIMEOUT_MS, 'secureConnect'));
}

/** The connection may still be open, but no bytes arrive. */
export class IdleTimeoutError extends Error {
  override readonly name = 'IdleTimeoutError';
}

/** The whole body. Rejects if it is longer than `maxBytes` or incomplete. */
export async function readBody(message: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw new BodyTooLargeError(`a body of more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, bytes);
}

export class BodyTooLargeError extends Error {
  override readonly name = 'BodyTooLargeError';
}
