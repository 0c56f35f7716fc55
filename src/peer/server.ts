import { createServer, type Server as HttpServer } from 'node:http';
import { createServer as createNetServer, type ListenOptions, type Server, type Socket } from 'node:net';
import type { PeerHttpHandler } from './http-handler.ts';
import type { PeerTls } from './request.ts';

/** Milliseconds for which idle connections are kept: longer than the interval of probes. */
const KEEP_ALIVE_MS = 10_000;

/**
 * Milliseconds without a byte in either direction after which a connection is closed. Streams and snapshots have their
 * own timeouts.
 */
const SILENCE_MS = 60_000;

/** Maximum size of the request headers. A member may have many URLs. */
const MAX_HEADER_BYTES = 64 * 1024;

/** A TCP address, or the path of a unix socket. */
export type PeerAddress = (
  { readonly host: string; readonly port: number; readonly reusePort?: true } | { readonly path: string }
) & {
  readonly secure: boolean;
};

export interface PeerServerOptions {
  readonly handler: PeerHttpHandler;
  /** Needed for secure addresses. */
  readonly tls?: PeerTls | undefined;
}

/** Listens on a member's peer addresses, for HTTP/1.1. */
export class PeerServer {
  readonly #http: HttpServer;
  readonly #tls: PeerTls | undefined;
  readonly #listeners: Server[] = [];
  readonly #sockets = new Set<Socket>();

  constructor({ handler, tls }: PeerServerOptions) {
    this.#tls = tls;
    this.#http = createServer({ noDelay: true, maxHeaderSize: MAX_HEADER_BYTES }, handler);
    this.#http.keepAliveTimeout = KEEP_ALIVE_MS;
    this.#http.timeout = SILENCE_MS;
    // Snapshots may take any time. Their receiver checks that they make progress.
    this.#http.requestTimeout = 0;
    // It does not listen itself, and accepted connections are passed to it. But it checks for late request headers only
    // after this event.
    this.#http.emit('listening');
  }

  /**
   * Resolves to the port (chosen by the system for 0), or to 0 for a unix socket. Rejects if the address can't be used.
   */
  listen(address: PeerAddress): Promise<number> {
    const { secure } = address;
    const serve = (socket: Socket): void => {
      socket.setNoDelay(true);
      this.#http.emit('connection', socket);
    };
    const listener = secure ? this.#secureListener(serve) : createNetServer({ allowHalfOpen: true }, serve);
    // Registered before the TLS handshake: a silent connection must not prevent the listener from closing.
    listener.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    return new Promise((resolve, reject) => {
      listener.once('error', reject);
      listener.listen(placeOf(address), () => {
        this.#listeners.push(listener);
        const bound = listener.address();
        resolve(typeof bound === 'object' && bound !== null ? bound.port : 0);
      });
    });
  }

  #secureListener(serve: (socket: Socket) => void): Server {
    if (this.#tls === undefined) throw new TypeError('a secure peer address needs certificates');
    return this.#tls.createServer(serve);
  }

  /** Stops listening and closes all connections. */
  async close(): Promise<void> {
    const closed = this.#listeners.map(
      (listener) => new Promise<void>((resolve) => listener.close(() => resolve())),
    );
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(closed);
  }
}

function placeOf(address: PeerAddress): ListenOptions & { reusePort?: true } {
  if ('path' in address) return { path: address.path };
  const { host, port, reusePort } = address;
  return { port, ...(host === '' ? {} : { host }), ...(reusePort === true ? { reusePort } : {}) };
}
