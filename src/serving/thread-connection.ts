import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { RemoteClient } from '../grpc/forwarded-socket.ts';
import { SocketSession } from '../grpc/session.ts';
import { type HeaderField, HeaderToken } from '../http2/header-field.ts';
import type { HeldAccount } from '../http2/held-bytes.ts';
import type { CallHeaders } from './records.ts';

const HAS_LEADER = 'hasleader';

/** A connection on which calls were forwarded. */
export class ThreadConnection {
  readonly id: number;
  readonly socket: Socket;
  /** Bytes of requests on their way to the core. */
  readonly account: HeldAccount;
  /** Whether its calls may ask to be refused without a leader. */
  needsLeader = false;
  #fields: readonly HeaderField[] = [];
  #authority: string | undefined;

  constructor(id: number, socket: Socket, account: HeldAccount) {
    this.id = id;
    this.socket = socket;
    this.account = account;
  }

  /** The headers of a call, if they are not those of the call before it. */
  newHeaders(fields: readonly HeaderField[], authority: string): CallHeaders | undefined {
    if (authority === this.#authority && equalFields(this.#fields, fields)) return undefined;
    this.#fields = fields;
    this.#authority = authority;
    this.needsLeader = fields.some(({ name }) => name === HAS_LEADER);
    return { authority, fields: fields.filter(isForwarded).map(({ name, value }) => [name, value]) };
  }
}

/** What the core is told of a client. */
export function describeClient(socket: Socket): RemoteClient {
  const session = new SocketSession(socket, 0);
  return {
    remoteAddress: socket.remoteAddress,
    remotePort: socket.remotePort,
    encrypted: socket instanceof TLSSocket,
    hasCertificate: session.hasCertificate,
    commonName: session.commonName,
  };
}

/** The serving thread keeps the deadline. The path is the method, which each call names. */
function isForwarded({ token }: HeaderField): boolean {
  return token !== HeaderToken.PATH && token !== HeaderToken.GRPC_TIMEOUT;
}

function equalFields(before: readonly HeaderField[], after: readonly HeaderField[]): boolean {
  let at = 0;
  for (const field of after) {
    if (!isForwarded(field)) continue;
    while (at < before.length && !isForwarded(before[at] as HeaderField)) at++;
    const other = before[at++];
    if (other === field) continue;
    if (other === undefined || other.name !== field.name || other.value !== field.value) return false;
  }
  while (at < before.length && !isForwarded(before[at] as HeaderField)) at++;
  return at === before.length;
}
