import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { HeldAccount } from '../../http2/held-bytes.ts';
import { type RawData, type WebSocket, WebSocketServer } from 'ws';
import { errorBody } from './json-error.ts';
import { HIGH_WATER_BYTES, type ResponseWriter } from './response-writer.ts';

const BEARER = 'Bearer';
const NEWLINE = Buffer.from('\n');
/** What a client's ping or pong takes besides its payload. */
const CONTROL_FRAME_BYTES = 6;

/** Receives the messages of a WebSocket. They are the parts of one request's body. */
export interface SocketListener {
  receive(chunk: Buffer): void;
  drained(): void;
  abandon(): void;
}

/** The WebSockets of the gateway. Each carries the body of one request and the lines of its response. */
export class WebSockets {
  readonly #server: WebSocketServer;
  readonly #heldAccount: () => HeldAccount;

  /** @param maxPayload the longest message of a client, in bytes */
  constructor(maxPayload: number, heldAccount: () => HeldAccount) {
    this.#heldAccount = heldAccount;
    this.#server = new WebSocketServer({
      noServer: true,
      maxPayload,
      perMessageDeflate: false,
      // The token is sent as a subprotocol, because browsers cannot send headers.
      handleProtocols: (protocols) => (protocols.has(BEARER) ? BEARER : false),
    });
  }

  /** Answers the handshake, also with a refusal. `begin` makes the receiver of the messages. */
  accept(
    request: IncomingMessage,
    head: Buffer,
    isStream: boolean,
    begin: (writer: WebSocketWriter) => SocketListener | undefined,
  ): void {
    this.#server.handleUpgrade(request, request.socket, head, (webSocket) => {
      const writer = new WebSocketWriter(webSocket, request.socket, isStream);
      webSocket.on('error', () => webSocket.terminate());
      const listener = begin(writer);
      if (listener === undefined) return;
      writer.onDrain = () => listener.drained();
      countUnfinished(webSocket, request.socket, this.#heldAccount());
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

/** Incomplete messages are in memory as well. A connection that holds too much is closed. */
function countUnfinished(webSocket: WebSocket, connection: Socket, held: HeldAccount): void {
  let bytes = 0;
  const set = (count: number): void => {
    bytes = Math.max(0, count);
    held.set(bytes);
    if (held.isTooMuch) webSocket.terminate();
  };
  const control = (payload: Buffer): void => set(bytes - payload.length - CONTROL_FRAME_BYTES);
  // Before the library reads the bytes, so that a message is counted before it ends.
  connection.prependListener('data', (chunk: Buffer) => set(bytes + chunk.length));
  webSocket.on('message', () => set(0));
  webSocket.on('ping', control);
  webSocket.on('pong', control);
  webSocket.on('close', () => held.close());
}

function toBuffer(data: RawData): Buffer {
  if (Buffer.isBuffer(data)) return data;
  return Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data);
}

/** One message of the socket per line. The end of the call closes the connection, as etcd's proxy does. */
export class WebSocketWriter implements ResponseWriter {
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
    if (this.queuedBytes >= HIGH_WATER_BYTES) this.#wasFull = true;
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
    if (!this.#wasFull || this.queuedBytes >= HIGH_WATER_BYTES / 2) return;
    this.#wasFull = false;
    this.onDrain?.();
  }
}
