import { Duplex } from 'node:stream';

/** What a server knows of a client whose socket is in another thread. */
export interface RemoteClient {
  /** Undefined for a unix socket, as are the ports. */
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  /** Whether the client uses TLS. */
  readonly encrypted: boolean;
  /** Whether the client sent a certificate that is signed by a CA of the server. */
  readonly hasCertificate: boolean;
  /** The common name in that certificate. */
  readonly commonName: string | undefined;
}

/** The thread that has the socket. */
export interface SocketEnd {
  write(chunk: Buffer): void;
  /** The code of this thread took `bytes` that the client sent. */
  consumed(bytes: number): void;
  end(): void;
  /** @param gracefully whether the client gets first what was written */
  destroy(gracefully: boolean): void;
}

/** Bytes on their way to the other thread at which writers wait. */
const WINDOW_BYTES = 256 * 1024;

/** A connection whose socket, and TLS if any, is in another thread. It serves where `node:http` expects a socket. */
export class ForwardedSocket extends Duplex {
  readonly client: RemoteClient;
  readonly encrypted: boolean;
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  readonly #end: SocketEnd;
  #unconfirmedBytes = 0;
  #waiting: (() => void) | undefined;
  #unreadBytes = 0;
  #timeoutMs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(client: RemoteClient, end: SocketEnd) {
    super({ allowHalfOpen: true });
    this.client = client;
    this.encrypted = client.encrypted;
    this.remoteAddress = client.remoteAddress;
    this.remotePort = client.remotePort;
    this.#end = end;
  }

  /** Bytes that the client sent. */
  received(chunk: Buffer): void {
    this.#active();
    this.#unreadBytes += chunk.length;
    if (this.push(chunk)) this.#takeAll();
  }

  /** The client has sent all. */
  receivedEnd(): void {
    this.push(null);
  }

  /** The other thread has passed on `bytes` that were written. */
  confirmed(bytes: number): void {
    this.#active();
    this.#unconfirmedBytes -= bytes;
    if (this.#unconfirmedBytes >= WINDOW_BYTES) return;
    const go = this.#waiting;
    this.#waiting = undefined;
    go?.();
  }

  /** As that of a socket: emits `timeout` after so many idle milliseconds; 0 turns it off. */
  setTimeout(timeoutMs: number, callback?: () => void): this {
    this.#timeoutMs = timeoutMs;
    if (callback !== undefined) this.once('timeout', callback);
    this.#active();
    return this;
  }

  /** As that of a socket: closes when all is written. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => this.destroy());
  }

  override _read(): void {
    this.#takeAll();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    this.#active();
    this.#unconfirmedBytes += chunk.length;
    this.#end.write(chunk);
    if (this.#unconfirmedBytes < WINDOW_BYTES) callback();
    else this.#waiting = callback;
  }

  override _final(callback: () => void): void {
    this.#end.end();
    callback();
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    clearTimeout(this.#timer);
    this.#waiting = undefined;
    this.#end.destroy(this.writableFinished);
    callback(error);
  }

  #takeAll(): void {
    const bytes = this.#unreadBytes;
    this.#unreadBytes = 0;
    if (bytes > 0) this.#end.consumed(bytes);
  }

  #active(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#timeoutMs <= 0 || this.destroyed) return;
    this.#timer = setTimeout(() => this.emit('timeout'), this.#timeoutMs).unref();
  }
}
