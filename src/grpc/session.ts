import type { Socket } from 'node:net';
import { type PeerCertificate, TLSSocket } from 'node:tls';
import { ReceiveBudget } from './receive-budget.ts';

/** A client connection as handlers see it. */
export class Session {
  readonly socket: Socket;
  /** `host:port` of the client; empty for a unix socket. */
  readonly remoteAddress: string;
  /** Memory for messages that are larger than the window of a stream. */
  readonly receiveBudget: ReceiveBudget;
  /** Data of the api module, for example an authenticated user. */
  data: unknown;
  #certificate: PeerCertificate | undefined;
  #certificateRead = false;

  constructor(socket: Socket, receiveBudgetBytes: number) {
    this.socket = socket;
    this.receiveBudget = new ReceiveBudget(receiveBudgetBytes);
    const { remoteAddress, remotePort } = socket;
    if (remoteAddress === undefined || remotePort === undefined) this.remoteAddress = '';
    else if (remoteAddress.includes(':')) this.remoteAddress = `[${remoteAddress}]:${remotePort}`;
    else this.remoteAddress = `${remoteAddress}:${remotePort}`;
  }

  /** The client's certificate, if it sent one that is signed by a CA of the server. */
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

  /** The common name in the client's certificate. If it has several, the last one, as in Go. */
  get commonName(): string | undefined {
    const names: string | string[] | undefined = this.peerCertificate?.subject.CN;
    return typeof names === 'object' ? names.at(-1) : names;
  }
}
