import {
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { reasonOf } from '../../lib/text.ts';
import {
  AuthenticateRequest,
  type Member,
  MemberListRequest,
  SnapshotRequest,
  SnapshotResponse,
  WatchRequest,
  WatchResponse,
} from '../../wire/gen/etcdserverpb.ts';
import { Auth, Cluster, Maintenance, Watch } from '../../wire/services.ts';
import {
  callUnary,
  endpointCredentials,
  endpointTarget,
  isAuthOff,
  isServiceError,
  type Method,
} from '../discovery/grpc-endpoint.ts';
import type { ClientSettings } from './client-flags.ts';

/** Client of one endpoint of a running server, etcd or Keystead. */
export class EndpointClient {
  readonly endpoint: string;
  readonly #settings: ClientSettings;
  readonly #client: Client;
  #token: Promise<string> | undefined;

  constructor(endpoint: string, settings: ClientSettings) {
    this.endpoint = endpoint;
    this.#settings = settings;
    this.#client = new Client(endpointTarget(endpoint), endpointCredentials(endpoint, settings.tls), {
      'grpc.max_receive_message_length': -1,
      // Otherwise clients of the same endpoint share one connection.
      'grpc.use_local_subchannel_pool': 1,
    });
  }

  /** Rejects with an Error whose message is the server's, or says that there is no connection. */
  async call<Q, R>(method: Method<Q, R>, request: Q): Promise<R> {
    return this.#unary(method, request, await this.#metadata());
  }

  /** Streams a snapshot of the server's database. */
  async snapshot(): Promise<ClientReadableStream<SnapshotResponse>> {
    return this.#client.makeServerStreamRequest(
      Maintenance.methods.snapshot.path,
      (message: SnapshotRequest) => SnapshotRequest.encode(message),
      (bytes: Buffer) => SnapshotResponse.decode(bytes),
      SnapshotRequest.create(),
      await this.#metadata(),
    );
  }

  /** Opens a stream for watches. */
  async watch(): Promise<ClientDuplexStream<WatchRequest, WatchResponse>> {
    return this.#client.makeBidiStreamRequest(
      Watch.methods.watch.path,
      (message: WatchRequest) => WatchRequest.encode(message),
      (bytes: Buffer) => WatchResponse.decode(bytes),
      await this.#metadata(),
    );
  }

  close(): void {
    this.#client.close();
  }

  async #metadata(): Promise<Metadata> {
    const metadata = new Metadata();
    if (this.#settings.user === '') return metadata;
    this.#token ??= this.#logIn();
    const token = await this.#token;
    if (token !== '') metadata.set('token', token);
    return metadata;
  }

  /** Returns an empty token if authentication is off. */
  async #logIn(): Promise<string> {
    const { user, password } = this.#settings;
    const request = AuthenticateRequest.create({ name: user, password });
    try {
      return (await this.#unary(Auth.methods.authenticate, request, new Metadata())).token;
    } catch (error) {
      if (isAuthOff(error)) return '';
      throw error;
    }
  }

  async #unary<Q, R>(method: Method<Q, R>, request: Q, metadata: Metadata): Promise<R> {
    const { timeoutMs } = this.#settings;
    try {
      return await callUnary(this.#client, method, request, { metadata, timeoutMs });
    } catch (error) {
      throw isServiceError(error) ? failure(error) : error;
    }
  }
}

function failure(error: ServiceError): Error {
  const isLost = error.code === status.UNAVAILABLE && !error.details.startsWith('etcdserver:');
  return new Error(isLost ? `no connection: ${error.details}` : error.details, { cause: error });
}

/**
 * Runs work with one endpoint after the other until one succeeds.
 *
 * @throws Error with the failure of each endpoint
 */
export async function firstAnswer<T>(
  clients: readonly EndpointClient[],
  work: (client: EndpointClient) => Promise<T>,
): Promise<T> {
  const failures: string[] = [];
  for (const client of clients) {
    try {
      return await work(client);
    } catch (error) {
      failures.push(`${client.endpoint}: ${reasonOf(error)}`);
    }
  }
  throw new Error(failures.join('; '));
}

/** @param linearizable false for the list that one member knows, which needs no majority */
export async function listMembers(
  clients: readonly EndpointClient[],
  linearizable: boolean,
): Promise<Member[]> {
  const request = MemberListRequest.create({ linearizable });
  return (await firstAnswer(clients, (each) => each.call(Cluster.methods.memberList, request))).members;
}

/** Opens a client for each endpoint and closes them when the work is done. */
export async function withClients<T>(
  settings: ClientSettings,
  work: (clients: readonly EndpointClient[]) => Promise<T>,
): Promise<T> {
  const clients = settings.endpoints.map((endpoint) => new EndpointClient(endpoint, settings));
  try {
    return await work(clients);
  } finally {
    for (const client of clients) client.close();
  }
}
