import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { GrpcServer } from '../../grpc/server.ts';
import { parseTimeout } from '../../grpc/timeout.ts';
import type { MethodDescriptor, ServiceDescriptor } from '../../wire/codec.ts';
import { GrpcCode } from '../../wire/errors.ts';
import * as services from '../../wire/services.ts';
import { replyError, requestUrl } from '../http/reply.ts';
import { Exchange, type GatewayCall } from './exchange.ts';
import { HttpResponseWriter } from './http-response-writer.ts';
import { replyJsonError } from './json-error.ts';
import { metadataFault, requestMetadata, socketMetadata } from './request-metadata.ts';
import type { WebSockets } from './web-sockets.ts';

export interface GatewayOptions {
  readonly server: GrpcServer;
  /** The longest request message, in bytes. */
  readonly maxReceiveBytes: number;
  /** Whether client certificates identify users at the moment. Such a certificate is refused here. */
  readonly certificatesNameUsers: () => boolean;
}

/** etcd's text. A client that relies on its certificate's name is told at once that the name is ignored. */
const NAME_IGNORED =
  'CommonName of client sending a request against gateway will be ignored and not used as expected';

/** JSON takes up to twice as many bytes as the message, plus the field names. */
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
 * The JSON gateway under /v3/. It offers each method of each service by its routes, streams included, over HTTP or a
 * WebSocket. It makes calls to the server inside the process. The client's token is passed on; the client's
 * certificate is not used.
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

  /** Answers an HTTP request. */
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
    const writer = new HttpResponseWriter(response, found.serverStreaming);
    const exchange = new Exchange(call, writer, {
      callsAtOnce: false,
      pause: () => request.pause(),
      resume: () => request.resume(),
    });
    // A form is consumed when it is read as a form, so the message is empty.
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

  /** Answers a WebSocket handshake. */
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
    webSockets.accept(request, head, isStream, (writer) => {
      if ('code' in found) {
        writer.refuse(found.code, found.message);
        return undefined;
      }
      const call = this.#call(request, found, { metadata: socketMetadata(request), timeoutMs: -1 });
      const exchange = new Exchange(call, writer, {
        callsAtOnce: true,
        pause: () => writer.pause(),
        resume: () => writer.resume(),
      });
      exchange.start();
      return exchange;
    });
  }

  /** Whether a connection is refused because of its certificate. */
  refuses(socket: Socket): boolean {
    return this.#certificatesNameUsers() && Boolean(this.#server.httpSession(socket).commonName);
  }

  /** Closes the WebSockets. The HTTP server does not know them. */
  close(): void {
    this.#webSockets?.close();
  }

  /** Loaded with the first WebSocket: most servers never see one, and loading costs time at each start. */
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

function methodsByRoute(): ReadonlyMap<string, MethodDescriptor> {
  const methods = new Map<string, MethodDescriptor>();
  for (const service of Object.values<ServiceDescriptor>(services)) {
    for (const method of Object.values(service.methods)) {
      for (const route of method.routes) methods.set(route, method);
    }
  }
  return methods;
}

/** A form may override the method that it was sent with. */
function isOverridden({ method, headers }: IncomingMessage): boolean {
  return method === 'POST' && headers['content-type'] === FORM && Boolean(headers['x-http-method-override']);
}

function methodOf(request: IncomingMessage): string {
  if (!isOverridden(request)) return request.method ?? '';
  return String(request.headers['x-http-method-override']).toUpperCase();
}

/** Milliseconds, -1 for no timeout, undefined if the text is not a timeout. */
function timeoutOf({ headers }: IncomingMessage): number | undefined {
  const given = headers['grpc-timeout'] ?? '';
  if (given === '') return -1;
  const parsed = parseTimeout(String(given));
  return typeof parsed === 'number' ? parsed : undefined;
}
