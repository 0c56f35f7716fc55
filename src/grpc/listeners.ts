import { createServer as createNetServer, type ListenOptions, type Server, type Socket } from 'node:net';
import {
  createServer as createTlsServer,
  type SecureContextOptions,
  type Server as TlsServer,
  type TlsOptions,
  type TLSSocket,
} from 'node:tls';
import type { Endings } from '../http2/endings.ts';
import { sniffProtocol } from '../http2/protocol-sniffer.ts';
import { sniffTls } from '../http2/tls-sniffer.ts';
import type { SlicedWork, Turns } from '../http2/turns.ts';
import type { Logger } from '../ports/logger.ts';

/** Keeps the certificates of a TLS listener up to date, and checks its connections after their handshakes. */
export interface TlsGuard {
  attach(server: TlsServer): void;
  /** Calls back for an accepted connection. Closes any other one itself. */
  admit(socket: TLSSocket, admitted: () => void): void;
  logRefused(socket: TLSSocket, error: Error): void;
}

/** Where to listen: `host` and `port`, or `path` of a unix socket; with TLS if `tls` is given. */
export interface ListenAddress {
  readonly host?: string;
  readonly port?: number;
  readonly path?: string;
  /** Whether other processes may listen on the port as well. Needs Node.js 22.12. */
  readonly reusePort?: true;
  readonly tls?: TlsOptions;
  /** Whether clients without TLS are also served on this address. */
  readonly plainToo?: boolean;
  /** Further checks of a TLS listener. */
  readonly guard?: TlsGuard;
  /** The protocols of the address; both by default. */
  readonly protocols?: 'both' | 'grpc' | 'http1';
}

export interface ListenerOptions {
  readonly logger: Logger | undefined;
  /** Maximum number of connections on one address. Further ones are closed at once. */
  readonly maxConnections: number | undefined;
  /** Open connections of each address in the order of `listen`, in memory that several threads share. */
  readonly sharedConnections: Int32Array | undefined;
  /** Timeout for the first bytes, and for the TLS handshake. */
  readonly handshakeTimeoutMs: number;
  readonly turns: Turns;
  readonly endings: Endings;
  readonly serveHttp2: (socket: Socket) => void;
  readonly serveHttp1: (socket: Socket) => void;
}

/** Milliseconds between two log lines on connections over the limit. */
const DROP_LOG_MS = 5_000;
/** Connections accepted in one slice. Each costs about 100 microseconds, with TLS a millisecond. */
const ACCEPTED_A_SLICE = 4;

type Serve = (socket: Socket) => void;

/**
 * The listeners of a server. They accept connections with or without TLS, and pass them on when their protocol is
 * known.
 */
export class Listeners implements SlicedWork {
  readonly #options: ListenerOptions;
  readonly #listeners: Server[] = [];
  readonly #tlsServers: TlsServer[] = [];
  #addresses = 0;
  #loggedDropMs = -Infinity;
  /** Sockets whose protocol is not known yet. */
  readonly #undecided = new Set<Socket>();
  /** Accepted sockets that wait, since too many came at once. */
  #accepted: [socket: Socket, serve: Serve][] = [];

  constructor(options: ListenerOptions) {
    this.#options = options;
  }

  /** See `GrpcServer.listen`. */
  async listen(address: ListenAddress): Promise<number> {
    const { logger, maxConnections } = this.#options;
    const serve = this.#serving(address);
    // Reading starts when the connection is served. The end of a connection is also handled in slices.
    const index = this.#addresses;
    const listener = createNetServer(
      { noDelay: true, allowHalfOpen: true, pauseOnConnect: true },
      (socket) => {
        if (this.#isCounted(socket, index)) this.#accept(socket, serve);
      },
    );
    if (maxConnections !== undefined) this.#limit(listener, maxConnections);
    this.#addresses++;
    const { host, port, path, reusePort } = address;
    const where: ListenOptions & Pick<ListenAddress, 'reusePort'> =
      path === undefined ? { host, port, ...(reusePort === true ? { reusePort } : {}) } : { path };
    await new Promise<void>((resolve, reject) => {
      listener.once('error', reject);
      listener.listen({ ...where, backlog: 4096 }, () => {
        listener.off('error', reject);
        resolve();
      });
    });
    // Accepting may fail, for example without free file descriptors. Accepted connections are still served.
    listener.on('error', (error) => logger?.warn('failed to accept a connection', { error: error.message }));
    this.#listeners.push(listener);
    const bound = listener.address();
    return typeof bound === 'object' && bound !== null ? bound.port : 0;
  }

  /** Replaces certificate and key of the TLS listeners for new connections. */
  setSecureContext(context: SecureContextOptions): void {
    for (const server of this.#tlsServers) server.setSecureContext(context);
  }

  /** Stops accepting connections. */
  close(): void {
    for (const listener of this.#listeners) listener.close();
    this.#listeners.length = 0;
  }

  /** Closes the connections whose protocol is not known yet. */
  dropUndecided(): void {
    for (const socket of this.#undecided) socket.destroy();
    for (const [socket] of this.#accepted) socket.destroy();
    this.#accepted = [];
  }

  slice(): boolean {
    for (const [socket, serve] of this.#accepted.splice(0, ACCEPTED_A_SLICE))
      if (!socket.destroyed) serve(socket);
    return this.#accepted.length > 0;
  }

  #accept(socket: Socket, serve: Serve): void {
    // Until the code that serves the socket adds its own listener.
    socket.on('error', () => socket.destroy());
    const { turns } = this.#options;
    if (this.#accepted.length === 0 && turns.hasTime) {
      serve(socket);
      return;
    }
    if (this.#accepted.length === 0) turns.addLater(this);
    this.#accepted.push([socket, serve]);
  }

  #serving(address: ListenAddress): Serve {
    const plain = this.#plainServing(address);
    if (address.tls === undefined) return plain;
    const server = this.#tlsServer(address, address.tls);
    const secure: Serve = (socket) => server.emit('connection', socket);
    if (address.plainToo !== true) return secure;
    return (socket) =>
      this.#decide(socket, () =>
        sniffTls(
          socket,
          (isTls) => {
            this.#undecided.delete(socket);
            if (isTls) secure(socket);
            else plain(socket);
          },
          this.#options.handshakeTimeoutMs,
        ),
      );
  }

  #plainServing({ protocols = 'both' }: ListenAddress): Serve {
    return (socket) => {
      if (protocols === 'http1') this.#options.serveHttp1(socket);
      else this.#sniff(socket, protocols === 'both');
      socket.resume();
    };
  }

  /** It does not listen itself. The accepted sockets are passed to it. */
  #tlsServer({ protocols = 'both', guard }: ListenAddress, tls: TlsOptions): TlsServer {
    const { logger, endings, handshakeTimeoutMs, serveHttp1 } = this.#options;
    const server = createTlsServer({
      handshakeTimeout: handshakeTimeoutMs,
      ...tls,
      ...(protocols === 'http1' ? { ALPNProtocols: ['http/1.1'] } : { ALPNCallback: chooseProtocol }),
    });
    guard?.attach(server);
    const serve = (socket: TLSSocket): void => {
      if (protocols === 'http1' || socket.alpnProtocol === 'http/1.1') serveHttp1(socket);
      else this.#sniff(socket, protocols === 'both' && socket.alpnProtocol !== 'h2');
    };
    server.on('secureConnection', (socket) => {
      if (guard === undefined) serve(socket);
      else guard.admit(socket, () => serve(socket));
    });
    server.on('tlsClientError', (error, socket) => {
      if (guard === undefined)
        logger?.warn('rejected connection on client endpoint', { error: error.message });
      else guard.logRefused(socket, error);
      // Thousands of connections may time out at once.
      endings.add(() => socket.destroy());
    });
    this.#tlsServers.push(server);
    return server;
  }

  #decide(socket: Socket, sniff: () => void): void {
    this.#undecided.add(socket);
    socket.once('close', () => this.#undecided.delete(socket));
    sniff();
  }

  #sniff(socket: Socket, http1Allowed: boolean): void {
    const { serveHttp1, serveHttp2, handshakeTimeoutMs } = this.#options;
    const choice = {
      http2: (): void => {
        this.#undecided.delete(socket);
        serveHttp2(socket);
      },
      http1: (): void => {
        this.#undecided.delete(socket);
        if (http1Allowed) serveHttp1(socket);
        else socket.destroy();
      },
    };
    this.#decide(socket, () => sniffProtocol(socket, choice, handshakeTimeoutMs));
  }

  #limit(listener: Server, maxConnections: number): void {
    listener.maxConnections = maxConnections;
    listener.on('drop', () => this.#logDropped(maxConnections));
  }

  /** Counts a connection over all threads. False if it is over the limit, and is closed. */
  #isCounted(socket: Socket, address: number): boolean {
    const { maxConnections, sharedConnections } = this.#options;
    if (maxConnections === undefined || sharedConnections === undefined) return true;
    if (Atomics.add(sharedConnections, address, 1) >= maxConnections) {
      Atomics.sub(sharedConnections, address, 1);
      socket.destroy();
      this.#logDropped(maxConnections);
      return false;
    }
    socket.once('close', () => Atomics.sub(sharedConnections, address, 1));
    return true;
  }

  #logDropped(limit: number): void {
    const now = performance.now();
    if (now - this.#loggedDropMs < DROP_LOG_MS) return;
    this.#loggedDropMs = now;
    this.#options.logger?.warn('closed a connection: the limit of connections is reached', { limit });
  }
}

/**
 * gRPC clients offer only h2. A client that also offers HTTP/1.1 (a browser, curl, a metrics scraper) wants the HTTP
 * endpoints, which are served by HTTP/1.1.
 */
function chooseProtocol({ protocols }: { protocols: string[] }): string | undefined {
  if (protocols.includes('http/1.1')) return 'http/1.1';
  return protocols.includes('h2') ? 'h2' : undefined;
}
