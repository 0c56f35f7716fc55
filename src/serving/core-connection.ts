import type { RemoteClient } from '../grpc/forwarded-socket.ts';
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

  constructor(client: RemoteClient, account: HeldAccount, close: () => void) {
    this.remoteAddress = addressText(client);
    this.hasCertificate = client.hasCertificate;
    this.commonName = client.commonName;
    this.account = account;
    this.#close = close;
  }

  setHeaders({ authority, fields }: CallHeaders): void {
    this.authority = authority;
    this.fields = fields.map(([name, value]) => new HeaderField(name, value));
    this.clientVersion = versionIn(this.fields);
  }

  destroy(): void {
    this.#close();
  }
}
