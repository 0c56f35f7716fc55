import type { RemoteClient } from '../grpc/forwarded-socket.ts';
import type { LocalRequest } from '../grpc/local-call.ts';
import { ReceiveBudget } from '../grpc/receive-budget.ts';
import { addressText, type Session } from '../grpc/session.ts';
import { HeaderField, versionIn } from '../http2/header-field.ts';
import type { HeldAccount } from '../http2/held-bytes.ts';
import type { CallHeaders } from './records.ts';

/** A connection of a serving thread as the core sees it. */
export class CoreConnection implements Session {
  readonly remoteAddress: string;
  /** The messages that arrive here are complete: the serving thread limits them. */
  readonly receiveBudget = new ReceiveBudget(Infinity);
  readonly hasCertificate: boolean;
  readonly commonName: string | undefined;
  data: unknown;
  authority = '';
  fields: readonly HeaderField[] = [];
  /** See `versionIn`. */
  clientVersion = '';
  /** Bytes on their way to the client's thread. */
  readonly account: HeldAccount;
  readonly #close: () => void;
  /** By path: the calls of a method differ in their messages only. */
  readonly #requests = new Map<string, LocalRequest>();

  constructor(client: RemoteClient, account: HeldAccount, close: () => void) {
    this.remoteAddress = addressText(client);
    this.hasCertificate = client.hasCertificate;
    this.commonName = client.commonName;
    this.account = account;
    this.#close = close;
  }

  setHeaders({ authority, fields }: CallHeaders): void {
    this.#requests.clear();
    this.authority = authority;
    this.fields = fields.map(([name, value]) => new HeaderField(name, value));
    this.clientVersion = versionIn(this.fields);
  }

  /** A call with the headers so far. Its deadline is kept by the serving thread. */
  request(path: string): LocalRequest {
    const known = this.#requests.get(path);
    if (known !== undefined) return known;
    const { fields, authority } = this;
    const request = { path, fields, authority, session: this, timeoutMs: -1 };
    this.#requests.set(path, request);
    return request;
  }

  destroy(): void {
    this.#close();
  }
}
