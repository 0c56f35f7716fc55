import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { type PeerCertificate, TLSSocket } from 'node:tls';
import type { GrpcServer } from '../../grpc/server.ts';
import { parseTimeout } from '../../grpc/timeout.ts';
import type { MethodDescriptor, ServiceDescriptor } from '../../wire/codec.ts';
import { GrpcCode } from '../../wire/errors.ts';
import * as services from '../../wire/services.ts';
import { replyError, requestUrl } from '../http/reply.ts';
import { Exchange, type GatewayCall } from './exchange.ts';
import { HttpOutlet } from './http-outlet.ts';
import { replyJsonError } from './json-error.ts';
import { metadataFault, requestMetadata, socketMetadata } from './request-metadata.ts';
import type { WebSockets } from './web-sockets.ts';

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
const FORM = 'application/x-www-form-urlencoded';

interface Handshake {
  readonly request: IncomingMessage;
  readonly head: Buffer;
  readonly found: MethodDescriptor | Refusal;
  readonly isStream: boolean;
}

interface Refusal {
  readonly code: number;
  readonly message: string;
}

/**
 * The JSON gateway under /v3/: each method of each service by its routes, streams included, over HTTP or a
 * WebSocket. The calls are the server's own, made inside the process; the client's token goes along, its
 * certificate does not count.
 */
export class Gateway {
  readonly #server: GrpcServer;
  readonly #certificatesNameUsers: () => boolean;
  readonly #methods = methodsByRoute();
  readonly #maxTextBytes: number;
  #webSockets: WebSockets | undefined;

  constructor({ server, maxReceiveBytes, certificatesNameUsers }: GatewayOptions) {
    this.#server = server;
    this.#certificatesNameUsers = certificatesNameUsers;
    this.#maxTextBytes = TEXT_PER_MESSAGE * maxReceiveBytes + TEXT_ALLOWANCE_BYTES;
  }

  /** Answers a request of HTTP. */
  handle(request: IncomingMessage, response: ServerResponse): void {
    if (this.refuses(request.socket)) {
      replyError(response, 400, NAME_IGNORED);
      return;
    }
    const found = this.#find(request, methodOf(request));
    if ('code' in found) {
      replyJsonError(response, found.code, found.message);
      return;
    }
    const fault = metadataFault(request);
    const timeoutMs = timeoutOf(request);
    if (fault !== undefined || timeoutMs === undefined) {
      const given = String(request.headers['grpc-timeout']);
      replyJsonError(response, GrpcCode.InvalidArgument, fault ?? `invalid grpc-timeout: ${given}`);
      return;
    }
    const call = this.#call(request, found, { metadata: requestMetadata(request), timeoutMs });
    const outlet = new HttpOutlet(response, found.serverStreaming);
    const exchange = new Exchange(call, outlet, {
      callsAtOnce: false,
      pause: () => request.pause(),
      resume: () => request.resume(),
    });
    // Of a form nothing is left for the message once it has been read as a form.
    const isForm = isOverridden(request);
    request.on('data', (chunk: Buffer) => {
      if (!isForm) exchange.receive(chunk);
    });
    request.on('end', () => exchange.receiveEnd());
    request.on('error', () => exchange.abandon());
    response.on('drain', () => exchange.drained());
    response.on('close', () => exchange.abandon());
    exchange.start();
  }

  /** Answers the handshake of a WebSocket. */
  upgrade(request: IncomingMessage, head: Buffer): void {
    const found = this.#find(request, 'POST');
    const isStream = !('code' in found) && found.serverStreaming;
    const { socket } = request;
    const failed = (): void => void socket.destroy();
    socket.on('error', failed);
    void this.#openWebSockets().then((webSockets) => {
      socket.off('error', failed);
      this.#accept(webSockets, { request, head, found, isStream });
    });
  }

  #accept(webSockets: WebSockets, { request, head, found, isStream }: Handshake): void {
    webSockets.accept(request, head, isStream, (outlet) => {
      if ('code' in found) {
        outlet.refuse(found.code, found.message);
        return undefined;
      }
      const call = this.#call(request, found, { metadata: socketMetadata(request), timeoutMs: -1 });
      const exchange = new Exchange(call, outlet, {
        callsAtOnce: true,
        pause: () => outlet.pause(),
        resume: () => outlet.resume(),
      });
      exchange.start();
      return exchange;
    });
  }

  /** Whether what comes by a connection is refused for its certificate. */
  refuses(socket: Socket): boolean {
    return this.#certificatesNameUsers() && namesUser(socket);
  }

  /** Cuts off the WebSockets, which no HTTP server knows of. */
  close(): void {
    this.#webSockets?.close();
  }

  /** Loaded with the first of them: most servers never see one, and it would cost every start. */
  async #openWebSockets(): Promise<WebSockets> {
    const { WebSockets: Opened } = await import('./web-sockets.ts');
    this.#webSockets ??= new Opened(this.#maxTextBytes, () => this.#server.heldAccount());
    return this.#webSockets;
  }

  #find(request: IncomingMessage, httpMethod: string): MethodDescriptor | Refusal {
    const method = this.#methods.get(requestUrl(request).path);
    if (method === undefined) return { code: GrpcCode.NotFound, message: 'Not Found' };
    if (httpMethod !== 'POST') return { code: GrpcCode.Unimplemented, message: 'Method Not Allowed' };
    return method;
  }

  #call(
    request: IncomingMessage,
    method: MethodDescriptor,
    { metadata, timeoutMs }: Pick<GatewayCall, 'metadata' | 'timeoutMs'>,
  ): GatewayCall {
    const { socket, headers } = request;
    const authority = headers.host ?? '';
    return {
      server: this.#server,
      method,
      metadata,
      timeoutMs,
      maxTextBytes: this.#maxTextBytes,
      socket,
      authority,
    };
  }
}

function namesUser(socket: Socket): boolean {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return false;
  // A connection that is gone has no certificate any more, whatever the types say.
  const certificate = socket.getPeerCertificate() as PeerCertificate | null;
  return certificate !== null && Boolean(certificate.subject.CN);
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

/** A form may name another method than the one it was sent by. */
function isOverridden({ method, headers }: IncomingMessage): boolean {
  return method === 'POST' && headers['content-type'] === FORM && Boolean(headers['x-http-method-override']);
}

function methodOf(request: IncomingMessage): string {
  if (!isOverridden(request)) return request.method ?? '';
  return String(request.headers['x-http-method-override']).toUpperCase();
}

/** Milliseconds, -1 for none, undefined for what is no timeout. */
function timeoutOf({ headers }: IncomingMessage): number | undefined {
  const given = headers['grpc-timeout'] ?? '';
  if (given === '') return -1;
  const parsed = parseTimeout(String(given));
  return typeof parsed === 'number' ? parsed : undefined;
}
