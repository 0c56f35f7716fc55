import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, type ClientDuplexStream, Metadata, status } from '@grpc/grpc-js';
import type { DiscoverySettings } from '../../config/config.ts';
import {
  AuthenticateRequest,
  PutRequest,
  RangeRequest,
  type RangeResponse,
  WatchCreateRequest,
  WatchRequest,
  WatchResponse,
} from '../../wire/gen/etcdserverpb.ts';
import { type Event, EventEventType, type KeyValue } from '../../wire/gen/mvccpb.ts';
import { Auth, KV, Watch } from '../../wire/services.ts';
import {
  callUnary,
  endpointCredentials,
  endpointTarget,
  isAuthOff,
  isServiceError,
  type Method,
  type TlsFiles,
} from './grpc-endpoint.ts';
import type { RegistryRow, RegistryStore } from './registry.ts';

/** Pause between two attempts with all endpoints. */
const RETRY_MS = 50;
/** gRPC for Go enforces this minimum, and servers close connections with more frequent pings. */
const MIN_KEEPALIVE_MS = 10_000;

/** Client of a discovery service. It uses the first endpoint that answers. */
export class GrpcRegistryStore implements RegistryStore {
  readonly #settings: DiscoverySettings;
  readonly #clients: readonly Client[];
  #current = 0;
  #token: string | undefined;

  private constructor(settings: DiscoverySettings, clients: readonly Client[]) {
    this.#settings = settings;
    this.#clients = clients;
  }

  /** Rejects if the certificates are invalid or the login fails. */
  static async open(settings: DiscoverySettings): Promise<GrpcRegistryStore> {
    const files = tlsFiles(settings);
    const clients = settings.endpoints.map(
      (endpoint) =>
        new Client(endpointTarget(endpoint), endpointCredentials(endpoint, files), {
          'grpc.keepalive_time_ms': Math.max(settings.keepaliveTimeMs, MIN_KEEPALIVE_MS),
          'grpc.keepalive_timeout_ms': settings.keepaliveTimeoutMs,
          'grpc.max_receive_message_length': -1,
        }),
    );
    const store = new GrpcRegistryStore(settings, clients);
    try {
      await store.#logIn();
    } catch (error) {
      store.close();
      throw error;
    }
    return store;
  }

  async get(key: string): Promise<string | undefined> {
    const { kvs } = await this.#range({ key: Buffer.from(key) });
    return kvs[0]?.value.toString();
  }

  async list(prefix: string): Promise<{ rows: RegistryRow[]; revision: number }> {
    const { kvs, header } = await this.#range(prefixRange(prefix));
    return { rows: kvs.map(rowOf), revision: header?.revision ?? 0 };
  }

  async put(key: string, value: string): Promise<void> {
    // A repeat after a lost response is harmless: the create revision of the key stays the same.
    await this.#asUser(
      KV.methods.put,
      PutRequest.create({ key: Buffer.from(key), value: Buffer.from(value) }),
    );
  }

  async *watch(prefix: string, fromRevision: number): AsyncGenerator<readonly RegistryRow[]> {
    const client = this.#clients[this.#current % this.#clients.length];
    if (client === undefined) throw new Error('no endpoint of the discovery service');
    const call = client.makeBidiStreamRequest(
      Watch.methods.watch.path,
      (message: WatchRequest) => WatchRequest.encode(message),
      (bytes: Buffer) => WatchResponse.decode(bytes),
      this.#metadata(),
    );
    // The loop below gets the errors. This handler is for the error after its own cancel.
    call.on('error', () => undefined);
    const value = WatchCreateRequest.create({ ...prefixRange(prefix), startRevision: fromRevision });
    call.write({ requestUnion: { case: 'createRequest', value } });
    try {
      for await (const response of responses(call)) {
        if (response.canceled) throw new Error(canceled(response));
        const rows = response.events.map(putOf).filter((row) => row !== undefined);
        if (rows.length > 0) yield rows;
      }
      throw new Error('the watch has ended');
    } catch (error) {
      this.#current += 1;
      throw error;
    } finally {
      call.cancel();
    }
  }

  close(): void {
    for (const client of this.#clients) client.close();
  }

  #range(request: Partial<RangeRequest>): Promise<RangeResponse> {
    return this.#asUser(KV.methods.range, RangeRequest.create(request));
  }

  /** Logs in again once if the token has expired. */
  async #asUser<Q, R>(method: Method<Q, R>, request: Q): Promise<R> {
    try {
      return await this.#request(method, request, this.#settings.requestTimeoutMs);
    } catch (error) {
      if (this.#token === undefined || codeOf(error) !== status.UNAUTHENTICATED) throw error;
      await this.#logIn();
      return this.#request(method, request, this.#settings.requestTimeoutMs);
    }
  }

  async #logIn(): Promise<void> {
    const { user, password, dialTimeoutMs } = this.#settings;
    if (user === '' || password === '') return;
    const request = AuthenticateRequest.create({ name: user, password });
    this.#token = undefined;
    try {
      const { token } = await this.#request(Auth.methods.authenticate, request, dialTimeoutMs);
      this.#token = token;
    } catch (error) {
      if (!isAuthOff(error)) throw error;
    }
  }

  /** Tries one endpoint after the other until one answers or the timeout is over. Each is tried at least once. */
  async #request<Q, R>(method: Method<Q, R>, request: Q, timeoutMs: number): Promise<R> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      let failure: unknown;
      for (let tried = 0; tried < this.#clients.length; tried += 1) {
        const client = this.#clients[this.#current % this.#clients.length];
        if (client === undefined) break;
        try {
          await this.#ready(client);
          return await callUnary(client, method, request, { metadata: this.#metadata(), timeoutMs });
        } catch (error) {
          failure = error;
          if (codeOf(error) !== status.UNAVAILABLE && codeOf(error) !== status.DEADLINE_EXCEEDED) throw error;
          this.#current += 1;
        }
      }
      if (performance.now() + RETRY_MS > deadline) throw failure;
      await sleep(RETRY_MS);
    }
  }

  #ready(client: Client): Promise<void> {
    const { dialTimeoutMs } = this.#settings;
    return new Promise((resolve, reject) => {
      client.waitForReady(Date.now() + dialTimeoutMs, (error) => {
        if (error === undefined) resolve();
        else reject(Object.assign(new Error('no connection'), { code: status.UNAVAILABLE }));
      });
    });
  }

  #metadata(): Metadata {
    const metadata = new Metadata();
    if (this.#token !== undefined) metadata.set('token', this.#token);
    return metadata;
  }
}

function responses(call: ClientDuplexStream<WatchRequest, WatchResponse>): AsyncIterable<WatchResponse> {
  return call as AsyncIterable<WatchResponse>;
}

function canceled({ cancelReason, compactRevision }: WatchResponse): string {
  if (compactRevision > 0) return 'the start revision of the watch has been compacted';
  return cancelReason === '' ? 'the watch was cancelled' : cancelReason;
}

/** Returns the range of all keys with a prefix. */
function prefixRange(prefix: string): { key: Buffer; rangeEnd: Buffer } {
  const key = Buffer.from(prefix);
  // The last byte of a path is never 255.
  const rangeEnd = Buffer.from(key);
  rangeEnd[rangeEnd.length - 1] = (rangeEnd[rangeEnd.length - 1] ?? 0) + 1;
  return { key, rangeEnd };
}

function rowOf({ key, value, createRevision }: KeyValue): RegistryRow {
  return { key: key.toString(), value: value.toString(), createRevision };
}

function putOf({ type, kv }: Event): RegistryRow | undefined {
  return type === EventEventType.PUT && kv !== undefined ? rowOf(kv) : undefined;
}

function codeOf(error: unknown): number | undefined {
  return isServiceError(error) ? error.code : undefined;
}

function tlsFiles({ cert, key, caCert, insecureSkipVerify, insecureTransport }: DiscoverySettings): TlsFiles {
  if ((cert === '') !== (key === ''))
    throw new Error(`KeyFile and CertFile must both be present[key: ${key}, cert: ${cert}]`);
  const read = (path: string): Buffer | undefined => (path === '' ? undefined : readFileSync(path));
  return {
    certificate: read(cert),
    key: read(key),
    authorities: read(caCert),
    skipsVerification: insecureSkipVerify,
    isWanted: cert !== '' || caCert !== '' || insecureSkipVerify || !insecureTransport,
  };
}
