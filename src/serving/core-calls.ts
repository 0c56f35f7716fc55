import { ForwardedSocket, type RemoteClient } from '../grpc/forwarded-socket.ts';
import { assert, defined } from '../lib/assert.ts';
import { RisingMap } from '../lib/rising-map.ts';
import type { ThreadReads } from '../ports/thread-reads.ts';
import type { BatchReader } from './batch.ts';
import { CallNumbers } from './call-numbers.ts';
import type { CallPort } from './call-port.ts';
import { CoreCall, type CoreCallOwner } from './core-call.ts';
import { CoreConnection } from './core-connection.ts';
import { CoreReads } from './core-reads.ts';
import { Link, type LinkPort } from './link.ts';
import { type CallHeaders, REASONS, ToCore, ToThread } from './records.ts';

/** A method by its number in the list that both threads have. */
export interface ServedMethod {
  readonly path: string;
  readonly clientStreaming: boolean;
  readonly serverStreaming: boolean;
}

export interface CoreCallsOptions {
  readonly port: LinkPort;
  readonly calls: CallPort;
  readonly methods: readonly ServedMethod[];
  /** Serves a connection with HTTP/1.1. */
  readonly serveHttp: (socket: ForwardedSocket) => void;
  /** Undefined if the thread does not read the store. */
  readonly reads?: ThreadReads | undefined;
  readonly onControl: (message: unknown) => void;
}

/** The calls and connections of one serving thread, on the core's side. */
export class CoreCalls implements CoreCallOwner {
  readonly #options: CoreCallsOptions;
  readonly link: Link;
  readonly #connections = new Map<number, CoreConnection>();
  /** By id: it does not return while they run. */
  readonly #streams = new Map<number, CoreCall>();
  /** By number. */
  readonly #unary = new RisingMap<CoreCall>();
  readonly #numbers = new CallNumbers();
  readonly #http = new Map<number, ForwardedSocket>();
  readonly #reads: CoreReads | undefined;

  constructor(options: CoreCallsOptions) {
    this.#options = options;
    this.link = new Link({
      port: options.port,
      onRecord: (kind, id, reader) => this.#onRecord(kind, id, reader),
      onControl: options.onControl,
    });
    this.#reads = options.reads && new CoreReads(this.link, options.reads);
  }

  /** The thread no longer uses the store: it has returned it, or it has ended. */
  storeReturned(): void {
    this.#reads?.returned();
  }

  control(message: unknown): void {
    this.link.control(message);
  }

  /** Sends all responses so far. */
  flush(): void {
    this.link.flush();
  }

  #onRecord(kind: number, id: number, reader: BatchReader): void {
    switch (kind) {
      case ToCore.UNARY:
      case ToCore.STREAM:
        this.#start(id, kind === ToCore.UNARY, reader);
        return;
      case ToCore.MESSAGE: {
        const framed = reader.bytes();
        const call = this.#streams.get(id);
        call?.receiving(framed.length);
        call?.call?.sendFramed(framed);
        return;
      }
      case ToCore.HALF_CLOSE:
        this.#streams.get(id)?.call?.halfClose();
        return;
      case ToCore.ENDED:
        this.#ended(id, reader.u8(), reader.u8());
        return;
      case ToCore.TAKEN: {
        const bytes = reader.f64();
        this.#find(id)?.taken(bytes);
        return;
      }
      default:
        this.#onConnectionRecord(kind, id, reader);
    }
  }

  #onConnectionRecord(kind: number, id: number, reader: BatchReader): void {
    switch (kind) {
      case ToCore.CONNECTION: {
        const client = JSON.parse(reader.text()) as RemoteClient;
        const account = this.#options.calls.heldAccount();
        const close = (): void => void this.link.record(ToThread.CLOSE, id);
        this.#connections.set(id, new CoreConnection(client, account, close));
        return;
      }
      case ToCore.CONNECTION_CLOSED:
        this.#connections.get(id)?.account.close();
        this.#connections.delete(id);
        return;
      case ToCore.HEAD:
        this.#connection(id).setHeaders(JSON.parse(reader.text()) as CallHeaders);
        return;
      default:
        this.#onHttpRecord(kind, id, reader);
    }
  }

  #onHttpRecord(kind: number, id: number, reader: BatchReader): void {
    const socket = this.#http.get(id);
    switch (kind) {
      case ToCore.HTTP:
        this.#openHttp(id, JSON.parse(reader.text()) as RemoteClient);
        return;
      case ToCore.HTTP_DATA: {
        const chunk = reader.bytes();
        if (socket?.destroyed === false) socket.received(chunk);
        return;
      }
      case ToCore.HTTP_END:
        socket?.receivedEnd();
        return;
      case ToCore.HTTP_CLOSED:
        socket?.destroy();
        this.#http.delete(id);
        return;
      case ToCore.HTTP_TAKEN: {
        const bytes = reader.f64();
        socket?.confirmed(bytes);
        return;
      }
      default:
        this.#onReadRecord(kind, id, reader);
    }
  }

  #onReadRecord(kind: number, id: number, reader: BatchReader): void {
    const reads = defined(this.#reads, 'a thread without the store sends no reads');
    if (kind === ToCore.READ) reads.agree(id, reader.u8() === 1);
    else if (kind === ToCore.READ_ENDED) reads.ended(reader, this.#connections.get(id)?.clientVersion ?? '');
    else {
      assert(kind === ToCore.READ_SLOW, 'a serving thread sends known records');
      reads.slow(reader);
    }
  }

  #start(id: number, isUnary: boolean, reader: BatchReader): void {
    const connection = this.#connection(reader.u32());
    const method = reader.u32();
    const request = isUnary ? reader.bytes() : undefined;
    const sink = new CoreCall({ id, number: this.#numbers.begin(id), isUnary }, this, connection);
    if (isUnary) this.#unary.add(sink.number, sink);
    else this.#streams.set(id, sink);
    const { path } = defined(this.#options.methods[method], 'a serving thread knows the methods');
    const call = this.#options.calls.callLocally(connection.request(path), sink);
    sink.call = defined(call, 'the methods of serving threads are registered');
    if (request !== undefined) sink.call.sendRequest(request);
  }

  done({ id, number, isUnary }: CoreCall): void {
    if (isUnary) this.#unary.delete(number);
    else this.#streams.delete(id);
  }

  #ended(id: number, code: number, reason: number): void {
    const sink = this.#find(id);
    if (sink === undefined) return;
    const kind = defined(REASONS[reason], 'a serving thread sends known reasons');
    if (kind === 'reset') sink.call?.cancel();
    else sink.call?.endedAs(code, kind);
    sink.drop();
  }

  #openHttp(id: number, client: RemoteClient): void {
    const link = this.link;
    const socket = new ForwardedSocket(client, {
      write: (chunk) => link.record(ToThread.HTTP_DATA, id).bytes(chunk, chunk.length),
      consumed: (bytes) => link.record(ToThread.HTTP_TAKEN, id).f64(bytes),
      end: () => void link.record(ToThread.HTTP_END, id),
      destroy: (gracefully) => {
        this.#http.delete(id);
        link.record(ToThread.HTTP_CLOSE, id).u8(gracefully ? 1 : 0);
      },
    });
    this.#http.set(id, socket);
    this.#options.serveHttp(socket);
  }

  #find(id: number): CoreCall | undefined {
    return this.#streams.get(id) ?? this.#unary.get(this.#numbers.of(id));
  }

  #connection(id: number): CoreConnection {
    return defined(this.#connections.get(id), 'the connection of a call is open');
  }
}
