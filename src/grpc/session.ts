import type { Socket } from 'node:net';
import { type PeerCertificate, TLSSocket } from 'node:tls';
import { ForwardedSocket, type RemoteClient } from './forwarded-socket.ts';
import { ReceiveBudget } from './receive-budget.ts';

/** A client connection as handlers see it. */
export interface Session {
  /** `host:port` of the client; empty for a unix socket. */
  readonly remoteAddress: string;
  /** Memory for messages that are larger than the window of a stream. */
  readonly receiveBudget: ReceiveBudget;
  /** Data of the api module, for example an authenticated user. */
  data: unknown;
  /** Whether the client sent a certificate that is signed by a CA of the server. */
  readonly hasCertificate: boolean;
  /** The common name in that certificate. If it has several, the last one, as in Go. */
  readonly commonName: string | undefined;
  /** Closes the connection at once. */
  destroy(): void;
}

/** A connection whose socket is in this thread. */
export class SocketSession implements Session {
  readonly socket: Socket;
  readonly remoteAddress: string;
  readonly receiveBudget: ReceiveBudget;
  data: unknown;
  #certificate: PeerCertificate | undefined;
  #certificateRead = false;

  constructor(socket: Socket, receiveBudgetBytes: number) {
    this.socket = socket;
    this.receiveBudget = new ReceiveBudget(receiveBudgetBytes);
    this.remoteAddress = addressText(socket);
  }

  get hasCertificate(): boolean {
    if (this.socket instanceof ForwardedSocket) return this.socket.client.hasCertificate;
    return this.peerCertificate !== undefined;
  }

  get peerCertificate(): PeerCertificate | undefined {
    if (!this.#certificateRead) {
      this.#certificateRead = true;
      if (this.socket instanceof TLSSocket && this.socket.authorized) {
        // For a closed connection Node.js returns null, against its types.
        const certificate = this.socket.getPeerCertificate() as PeerCertificate | null;
        if (certificate !== null && Object.keys(certificate).length > 0) this.#certificate = certificate;
      }
    }
    return this.#certificate;
  }

  get commonName(): string | undefined {
    if (this.socket instanceof ForwardedSocket) return this.socket.client.commonName;
    const names: string | string[] | undefined = this.peerCertificate?.subject.CN;
    return typeof names === 'object' ? names.at(-1) : names;
  }

  destroy(): void {
    this.socket.destroy();
  }
}

/** `host:port` of a client; empty for a unix socket. */
export function addressText({
  remoteAddress,
  remotePort,
}: Pick<RemoteClient, 'remoteAddress' | 'remotePort'>): string {
  if (remoteAddress === undefined || remotePort === undefined) return '';
  return remoteAddress.includes(':') ? `[${remoteAddress}]:${remotePort}` : `${remoteAddress}:${remotePort}`;
}
