import type { Socket } from 'node:net';
import { type PeerCertificate, TLSSocket } from 'node:tls';
import { ReceiveBudget } from './receive-budget.ts';

/** A client's connection as handlers see it. */
export class Session {
  readonly socket: Socket;
  /** `host:port` of the client; empty for a unix socket. */
  readonly remoteAddress: string;
  /** Room for messages longer than a stream's window. */
  readonly receiveBudget: ReceiveBudget;
  /** Free for the api room, for example an authenticated user. */
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

  /** The client's certificate, if it gave one that the server's authorities signed. */
  get peerCertificate(): PeerCertificate | undefined {
    if (!this.#certificateRead) {
      this.#certificateRead = true;
      if (this.socket instanceof TLSSocket && this.socket.authorized) {
        // A connection that is gone has none any more, whatever the types say.
        const certificate = this.socket.getPeerCertificate() as PeerCertificate | null;
        if (certificate !== null && Object.keys(certificate).length > 0) this.#certificate = certificate;
      }
    }
    return this.#certificate;
  }

  /** The common name in the client's certificate; the last one if it has several, as Go takes it. */
  get commonName(): string | undefined {
    const names: string | string[] | undefined = this.peerCertificate?.subject.CN;
    return typeof names === 'object' ? names.at(-1) : names;
  }
}
