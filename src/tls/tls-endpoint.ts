import { X509Certificate } from 'node:crypto';
import {
  type ConnectionOptions,
  createSecureContext,
  createServer,
  type PeerCertificate,
  type SecureContext,
  type SecureContextOptions,
  type Server,
  type TlsOptions,
  type TLSSocket,
} from 'node:tls';
import type { Logger } from '../ports/logger.ts';
import { addressRefusal, type Resolver } from './client-address.ts';
import { NO_CERTIFICATE, trustRefusal } from './client-trust.ts';
import type { Credentials } from './credentials.ts';
import { commonName, isForHost } from './host-names.ts';
import { Refusals } from './refusals.ts';
import type { Revocations } from './revocations.ts';
import { fileReason } from './tls-file-error.ts';

/** The timeout of a handshake, in milliseconds. It is etcd's. */
export const HANDSHAKE_TIMEOUT_MS = 10_000;

export interface TlsEndpointParts {
  /** The name of this endpoint in the log. */
  readonly endpoint: 'client' | 'peer';
  readonly logger: Logger;
  /** The credentials of listeners. */
  readonly server: Credentials;
  /** The credentials of outgoing connections. */
  readonly client: Credentials;
  /** Whether clients must have a certificate of a trusted authority. */
  readonly requiresClientCertificate: boolean;
  readonly allowedCommonNames: readonly string[];
  readonly allowedHostnames: readonly string[];
  readonly revocations: Revocations | undefined;
  /** Set if clients' certificates must match the addresses that they connect from. */
  readonly resolver: Resolver | undefined;
  /** Whether members use self-signed certificates, which prove nothing. */
  readonly isSelfSigned: boolean;
  /** The host name that outgoing connections expect in a certificate; by default the host that they connect to. */
  readonly serverName?: string | undefined;
}

const REFUSED = 'client certificate authentication failed';

/**
 * TLS of the client port or of the peer port. Listeners and outgoing connections use the certificates that are in the
 * files at the time. Further checks follow the handshake.
 *
 *     const server = tls.createServer(endpoint.options);
 *     endpoint.attach(server);
 *     server.on('secureConnection', (socket) => endpoint.admit(socket, () => serve(socket)));
 */
export class TlsEndpoint {
  /** Options for a TLS or HTTPS server. */
  readonly options: TlsOptions;
  readonly #parts: TlsEndpointParts;
  readonly #refusals = new Refusals();
  #outgoing: { readonly from: SecureContextOptions; readonly context: SecureContext } | undefined;

  constructor(parts: TlsEndpointParts) {
    this.#parts = parts;
    this.options = {
      ...parts.server.current(),
      requestCert: parts.requiresClientCertificate,
      // OpenSSL then answers a client without a certificate with the alert for that, as Go does. `attach` keeps
      // Node.js from judging the others: `admit` does.
      rejectUnauthorized: parts.requiresClientCertificate,
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    };
  }

  /** Makes a server check the files before each handshake. Call it before the server accepts connections. */
  attach(server: Server): void {
    let served = this.#parts.server.current();
    server.setSecureContext(served);
    // The only event of a server that gives the socket before the handshake ends. Its keys are not looked at.
    if (this.#parts.requiresClientCertificate) server.on('keylog', (_line, socket) => leaveToAdmit(socket));
    // Runs before the listener that starts the handshake with the server's current context.
    server.prependListener('connection', () => {
      const current = this.#parts.server.current();
      if (current === served) return;
      served = current;
      server.setSecureContext(current);
      this.#parts.logger.info('TLS files have changed; new connections use them', {
        endpoint: this.#parts.endpoint,
      });
    });
  }

  /** Calls back if a connection passes the checks after the handshake. Otherwise logs and closes the connection. */
  admit(socket: TLSSocket, admitted: () => void): void {
    const { requiresClientCertificate } = this.#parts;
    const chain = chainOf(socket.getPeerX509Certificate());
    const leaf = chain[0];
    if (requiresClientCertificate) {
      const refusal = trustRefusal(socket, leaf, this.#parts.server.current().ca);
      if (refusal !== undefined) {
        this.#refuse(socket, refusal);
        return;
      }
    }
    if (leaf === undefined) {
      admitted();
      return;
    }
    const refusal = this.#nameRefusal(leaf);
    if (refusal !== undefined) {
      this.#refuse(socket, refusal);
      return;
    }
    const { revocations } = this.#parts;
    const admitFrom = (): void => this.#admitFrom(socket, leaf, admitted);
    if (revocations === undefined) admitFrom();
    else if (revocations.isCurrent) this.#judge(socket, revocations.refusal(chain), admitFrom);
    else this.#judgeLater(socket, revocations.refusalSoon(chain), admitFrom);
  }

  /** The check of the address that a certificate is shown from. */
  #admitFrom(socket: TLSSocket, leaf: X509Certificate, admitted: () => void): void {
    const { resolver } = this.#parts;
    const address = socket.remoteAddress?.replace(/^::ffff:(?=\d+\.)/, '');
    if (resolver === undefined || address === undefined) admitted();
    else this.#judgeLater(socket, addressRefusal(leaf, address, resolver), admitted);
  }

  #judge(socket: TLSSocket, refusal: string | undefined, admitted: () => void): void {
    if (refusal === undefined) admitted();
    else this.#refuse(socket, refusal);
  }

  #judgeLater(socket: TLSSocket, refusal: Promise<string | undefined>, admitted: () => void): void {
    const ignore = (): void => undefined;
    socket.on('error', ignore);
    refusal
      .then((reason) => {
        socket.off('error', ignore);
        if (!socket.destroyed) this.#judge(socket, reason, admitted);
      })
      .catch((error: unknown) => this.#refuse(socket, fileReason(error)));
  }

  /** A server that passes on the admitted connections. `http.emit('connection')` serves plain HTTP on them. */
  createServer(onSocket: (socket: TLSSocket) => void, options: TlsOptions = {}): Server {
    const server = createServer({ ...this.options, ...options });
    this.attach(server);
    server.on('secureConnection', (socket) =>
      this.admit(socket, () => {
        // The caller that closes the server also closes the connections that it has. A later one would keep the
        // server open.
        if (server.listening) onSocket(socket);
        else socket.destroy();
      }),
    );
    server.on('tlsClientError', (error, socket) => {
      this.logRefused(socket, error);
      // Otherwise a connection whose handshake times out stays open.
      this.#refusals.add(() => socket.destroy());
    });
    return server;
  }

  /** Options for `tls.connect` or an HTTPS request, from the current files. Call this for each connection. */
  connectOptions(): ConnectionOptions {
    const from = this.#parts.client.current();
    if (this.#outgoing?.from !== from) this.#outgoing = { from, context: createSecureContext(from) };
    return {
      secureContext: this.#outgoing.context,
      minVersion: from.minVersion,
      maxVersion: from.maxVersion,
      rejectUnauthorized: !this.#parts.isSelfSigned,
      ...(this.#parts.serverName === undefined ? {} : { servername: this.#parts.serverName }),
      checkServerIdentity: (host, certificate) => this.#serverRefusal(host, certificate),
    };
  }

  /** Logs a failed handshake, soon. */
  logRefused(socket: TLSSocket, error: Error): void {
    const { logger, endpoint } = this.#parts;
    const fields = {
      'remote-addr': remoteOf(socket),
      'server-name': typeof socket.servername === 'string' ? socket.servername : '',
      error: bareReason(error),
    };
    this.#refusals.add(() => logger.warn(`rejected connection on ${endpoint} endpoint`, fields));
  }

  /** Beyond etcd's checks, a server with a revoked certificate is refused too. */
  #serverRefusal(host: string, shown: PeerCertificate): Error | undefined {
    const certificate = new X509Certificate(shown.raw);
    if (!isForHost(certificate, host))
      return new Error(
        `x509: certificate is not valid for ${host}, but for ${certificate.subjectAltName ?? 'no name'}`,
      );
    const refusal =
      this.#nameRefusal(certificate) ?? this.#parts.revocations?.refusal(shownChain(certificate, shown));
    return refusal === undefined ? undefined : new Error(refusal);
  }

  #nameRefusal(certificate: X509Certificate): string | undefined {
    const { allowedCommonNames, allowedHostnames } = this.#parts;
    if (allowedCommonNames.length > 0 && !allowedCommonNames.includes(commonName(certificate)))
      return REFUSED;
    if (allowedHostnames.length > 0 && !allowedHostnames.some((name) => isForHost(certificate, name)))
      return REFUSED;
    return undefined;
  }

  #refuse(socket: TLSSocket, reason: string): void {
    this.logRefused(socket, new Error(reason));
    socket.on('error', () => undefined);
    // This sends TLS's close alert.
    socket.destroySoon();
  }
}

/**
 * Node.js would close a connection whose certificate OpenSSL does not trust before its address could be logged, and
 * OpenSSL does not trust all that Go trusts. The field is Node.js's own: where it has another name, such certificates
 * are refused by Node.js, and none is let in.
 */
function leaveToAdmit(socket: TLSSocket): void {
  (socket as TLSSocket & { _rejectUnauthorized?: boolean })._rejectUnauthorized = false;
}

/** A certificate and its issuers. */
function chainOf(leaf: X509Certificate | undefined): X509Certificate[] {
  const chain: X509Certificate[] = [];
  for (let next = leaf; next !== undefined && chain.length < 16; next = next.issuerCertificate) {
    const last = chain.at(-1);
    if (last?.raw.equals(next.raw) === true) break;
    chain.push(next);
  }
  return chain;
}

/** As `chainOf`, for the server's certificate as a client gets it. */
function shownChain(leaf: X509Certificate, shown: PeerCertificate): X509Certificate[] {
  const chain = [leaf];
  let next: PeerCertificate | undefined = shown;
  while (chain.length < 16) {
    const issuer: PeerCertificate | undefined =
      'issuerCertificate' in next ? (next.issuerCertificate as PeerCertificate) : undefined;
    if (issuer === undefined || issuer.raw.equals(next.raw)) break;
    chain.push(new X509Certificate(issuer.raw));
    next = issuer;
  }
  return chain;
}

/** OpenSSL's reason if it is an OpenSSL error. The full message contains addresses and source files. */
function bareReason(error: Error): string {
  const reason = 'reason' in error && typeof error.reason === 'string' ? error.reason : error.message;
  return reason === 'peer did not return a certificate' ? NO_CERTIFICATE : reason;
}

function remoteOf({ remoteAddress, remotePort }: TLSSocket): string {
  return remoteAddress === undefined ? '' : `${remoteAddress}:${remotePort ?? ''}`;
}
