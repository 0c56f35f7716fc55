import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { type RawData, type WebSocket, WebSocketServer } from 'ws';
import { errorBody } from './json-error.ts';
import { OUTLET_HIGH_WATER_BYTES, type Outlet } from './outlet.ts';

const BEARER = 'Bearer';
const NEWLINE = Buffer.from('\n');

/** What is done with the messages of a WebSocket, which are pieces of one request's body. */
export interface SocketListener {
  receive(chunk: Buffer): void;
  drained(): void;
  abandon(): void;
}

/** WebSockets of the gateway: each carries one request's body there and its response lines back. */
export class WebSockets {
  readonly #server: WebSocketServer;

  /** @param maxPayload of one message of a client, in bytes */
  constructor(maxPayload: number) {
    this.#server = new WebSocketServer({
      noServer: true,
      maxPayload,
      perMessageDeflate: false,
      // A token comes as a subprotocol, as browsers can send no header.
      handleProtocols: (protocols) => (protocols.has(BEARER) ? BEARER : false),
    });
  }

  /** Answers the handshake, refusals included. `begin` makes what takes the messages. */
  accept(
    request: IncomingMessage,
    head: Buffer,
    isStream: boolean,
    begin: (outlet: SocketOutlet) => SocketListener | undefined,
  ): void {
    this.#server.handleUpgrade(request, request.socket, head, (webSocket) => {
      const outlet = new SocketOutlet(webSocket, request.socket, isStream);
      webSocket.on('error', () => webSocket.terminate());
      const listener = begin(outlet);
      if (listener === undefined) return;
      outlet.onDrain = () => listener.drained();
      webSocket.on('message', (data) => {
        listener.receive(Buffer.concat([toBuffer(data), NEWLINE]));
      });
      webSocket.on('close', () => listener.abandon());
    });
  }

  close(): void {
    for (const client of this.#server.clients) client.terminate();
  }
}

function toBuffer(data: RawData): Buffer {
  if (Buffer.isBuffer(data)) return data;
  return Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data);
}

/** A message of the socket for each line. The end of the call cuts the connection, as etcd's proxy does. */
export class SocketOutlet implements Outlet {
  onDrain: (() => void) | undefined;
  readonly #socket: WebSocket;
  readonly #connection: Socket;
  readonly #isStream: boolean;
  #wasFull = false;

  constructor(socket: WebSocket, connection: Socket, isStream: boolean) {
    this.#socket = socket;
    this.#connection = connection;
    this.#isStream = isStream;
  }

  get queuedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  write(text: string, isLast: boolean): void {
    this.#socket.send(isLast ? text.trimEnd() : text, { fin: isLast, binary: false }, () => this.#sent());
    if (this.queuedBytes >= OUTLET_HIGH_WATER_BYTES) this.#wasFull = true;
  }

  end(): void {
    this.#connection.destroySoon();
  }

  fail(code: number, message: string): void {
    const body = errorBody(code, message);
    this.#socket.send(this.#isStream ? `{"error":${body}}` : body);
    this.end();
  }

  refuse(code: number, message: string): void {
    this.#socket.send(errorBody(code, message));
    this.end();
  }

  destroy(): void {
    this.#socket.terminate();
  }

  #sent(): void {
    if (!this.#wasFull || this.queuedBytes >= OUTLET_HIGH_WATER_BYTES / 2) return;
    this.#wasFull = false;
    this.onDrain?.();
  }
}
