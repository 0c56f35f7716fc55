import type { IncomingHttpHeaders } from 'node:http';
import { hex, reasonOf } from '../lib/text.ts';
import {
  type PeerClient,
  PeerRequestError,
  type RemoteCluster,
  type RemoteHash,
  type RemoteLease,
  type RemoteMember,
  type RemoteRejoin,
  type RemoteStatus,
  type RemoteVersions,
} from '../ports/peer-client.ts';
import {
  LeaseKeepAliveRequest,
  LeaseKeepAliveResponse,
  LeaseTimeToLiveRequest,
} from '../wire/gen/etcdserverpb.ts';
import { LeaseInternalRequest, LeaseInternalResponse } from '../wire/gen/leasepb.ts';
import { errors } from '../wire/errors.ts';
import { header, Refusal } from './compatibility.ts';
import {
  AnswerText,
  DOWNGRADE_PATH,
  HASH_KV_PATH,
  MEMBERS_PATH,
  PROMOTE_PREFIX,
  VERSION_PATH,
} from './http-handler.ts';
import { LEASES_INTERNAL_PATH, LEASES_PATH } from './lease-requests.ts';
import { parseId } from './member-id.ts';
import { decodeMembers } from './members-json.ts';
import { encodeRejoin, readNewId, REJOIN_PATH } from './rejoin-requests.ts';
import { openRequest, type PeerTls, readBody } from './request.ts';
import { RequestAgents } from './request-agents.ts';
import { requestPlace } from './request-place.ts';
import { decodeStatus, STATUS_PATH } from './status-requests.ts';

/** etcd's limit: a lease may have many keys. */
const MAX_ANSWER_BYTES = 100 * 1024 * 1024;

/**
 * A smaller limit for members: they are also requested from the URLs of a member to be added, where any server may
 * respond.
 */
const MAX_MEMBERS_BYTES = 4 * 1024 * 1024;
const MAX_STATUS_BYTES = 64 * 1024;

interface Question {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | undefined;
  readonly timeoutMs: number;
  readonly maxBytes?: number;
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface PeerHttpClientOptions {
  readonly tls?: PeerTls | undefined;
  /** Timeout for connecting, in milliseconds. */
  readonly dialTimeoutMs: number;
  /** Local address of connections; undefined for the system's choice. */
  readonly localAddress?: string | undefined;
}

/** Sends requests to other members over HTTP. */
export class PeerHttpClient implements PeerClient {
  readonly #options: PeerHttpClientOptions;
  readonly #agents = new RequestAgents({ maxFreeSockets: 1 });

  constructor(options: PeerHttpClientOptions) {
    this.#options = options;
  }

  cluster(urls: readonly string[], timeoutMs: number): Promise<RemoteCluster> {
    const question: Question = { method: 'GET', path: MEMBERS_PATH, timeoutMs, maxBytes: MAX_MEMBERS_BYTES };
    return this.#askAny(urls, question, ({ headers, body }) => {
      const clusterId = parseId(header(headers, 'x-etcd-cluster-id'));
      if (clusterId === undefined) throw new PeerRequestError('the answer names no cluster');
      const members = decodeMembers(body.toString());
      if (members.length === 0) throw new PeerRequestError('the cluster has no members');
      return { clusterId, members };
    });
  }

  versions(urls: readonly string[], timeoutMs: number): Promise<RemoteVersions> {
    return this.#askAny(urls, { method: 'GET', path: VERSION_PATH, timeoutMs }, ({ body }) => {
      const fields = JSON.parse(body.toString()) as Readonly<Record<string, unknown>>;
      const text = (name: string): string => (typeof fields[name] === 'string' ? fields[name] : '');
      return { server: text('etcdserver'), cluster: text('etcdcluster'), storage: text('storage') };
    });
  }

  status(urls: readonly string[], timeoutMs: number): Promise<RemoteStatus | undefined> {
    const question: Question = { method: 'GET', path: STATUS_PATH, timeoutMs, maxBytes: MAX_STATUS_BYTES };
    return this.#askAny(urls, question, ({ status, body }) => {
      if (status === 404) return undefined;
      if (status !== 200) throw new PeerRequestError(`the answer has status ${status}`);
      return decodeStatus(body.toString());
    });
  }

  downgradeEnabled(urls: readonly string[], timeoutMs: number): Promise<boolean> {
    return this.#askAny(urls, { method: 'GET', path: DOWNGRADE_PATH, timeoutMs }, ({ body }) => {
      const text = body.toString();
      if (text !== 'true' && text !== 'false') throw new PeerRequestError(`no yes or no: ${text}`);
      return text === 'true';
    });
  }

  promote(
    urls: readonly string[],
    id: bigint,
    token: string | undefined,
    timeoutMs: number,
  ): Promise<readonly RemoteMember[]> {
    const question: Question = {
      method: 'POST',
      path: `${PROMOTE_PREFIX}${id}`,
      timeoutMs,
      headers: token === undefined ? {} : { Authorization: token },
    };
    return this.#askAny(urls, question, ({ status, body }) => {
      const text = body.toString();
      if (status === 408) throw errors.Timeout;
      if (status === 404) throw errors.MemberNotFound;
      if (status === 412 && text.includes(AnswerText.LearnerNotReady)) throw errors.LearnerNotReady;
      if (status === 412 && text.includes(AnswerText.MemberNotLearner)) throw errors.MemberNotLearner;
      if (status !== 200) throw new PeerRequestError(`member promote: unknown error(${text})`);
      return decodeMembers(text);
    });
  }

  rejoin(urls: readonly string[], request: RemoteRejoin, timeoutMs: number): Promise<bigint> {
    const question: Question = {
      method: 'POST',
      path: REJOIN_PATH,
      timeoutMs,
      headers: { 'Content-Type': 'application/json' },
      body: encodeRejoin(request),
    };
    return this.#askAny(urls, question, ({ status, body }) => {
      const id = readNewId(status, body.toString());
      if (id === undefined) throw new PeerRequestError(`status ${status}: ${body.toString().trim()}`);
      return id;
    });
  }

  renewLease(urls: readonly string[], lease: bigint, timeoutMs: number): Promise<number> {
    const body = LeaseKeepAliveRequest.encode({ id: lease });
    return this.#askAny(urls, leaseQuestion(LEASES_PATH, body, timeoutMs), (answer) => {
      checkLease(answer);
      const renewed = LeaseKeepAliveResponse.decode(answer.body);
      if (renewed.id !== lease) throw new PeerRequestError('lease: renew id mismatch');
      return renewed.ttl;
    });
  }

  leaseTimeToLive(
    urls: readonly string[],
    lease: bigint,
    withKeys: boolean,
    timeoutMs: number,
  ): Promise<RemoteLease> {
    const leaseTimeToLiveRequest = LeaseTimeToLiveRequest.create({ id: lease, keys: withKeys });
    const body = LeaseInternalRequest.encode({ leaseTimeToLiveRequest });
    return this.#askAny(urls, leaseQuestion(LEASES_INTERNAL_PATH, body, timeoutMs), (answer) => {
      checkLease(answer);
      const { leaseTimeToLiveResponse: found } = LeaseInternalResponse.decode(answer.body);
      if (found?.id !== lease) throw new PeerRequestError('lease: TTL id mismatch');
      return { ttl: found.ttl, grantedTtl: found.grantedTtl, keys: found.keys };
    });
  }

  hashKv(
    urls: readonly string[],
    clusterId: bigint,
    revision: number,
    timeoutMs: number,
  ): Promise<RemoteHash> {
    const question: Question = {
      method: 'GET',
      path: HASH_KV_PATH,
      timeoutMs,
      headers: { 'Content-Type': 'application/json', 'X-Etcd-Cluster-ID': hex(clusterId) },
      body: Buffer.from(revision === 0 ? '{}' : `{"revision":${revision}}`),
    };
    return this.#askAny(urls, question, ({ status, body }) => {
      const text = body.toString();
      if (status === 400 && text.includes(AnswerText.Compacted)) throw errors.Compacted;
      if (status === 400 && text.includes(AnswerText.FutureRev)) throw errors.FutureRev;
      if (status === 412 && text.includes(Refusal.Cluster)) throw errors.ClusterIDMismatch;
      if (status !== 200) throw new PeerRequestError(`unknown error: ${text}`);
      return decodeHash(text);
    });
  }

  close(): void {
    this.#agents.destroy();
  }

  /** The first response of any of the URLs. An EtcdError thrown by `read` counts as a response. */
  async #askAny<T>(urls: readonly string[], question: Question, read: (answer: Answer) => T): Promise<T> {
    const deadline = performance.now() + question.timeoutMs;
    let failure: Error = new PeerRequestError('no URL to ask');
    for (const [i, url] of urls.entries()) {
      const leftMs = (deadline - performance.now()) / (urls.length - i);
      if (leftMs <= 0) break;
      try {
        return read(await this.#ask(url, { ...question, timeoutMs: leftMs }));
      } catch (error) {
        if (error instanceof Error && error.name === 'EtcdError') throw error;
        failure = asRequestError(error, url);
      }
    }
    throw failure;
  }

  #ask(url: string, question: Question): Promise<Answer> {
    const { method, path, headers, body, timeoutMs, maxBytes = MAX_ANSWER_BYTES } = question;
    const { tls, dialTimeoutMs, localAddress } = this.#options;
    return new Promise((resolve, reject) => {
      const length: Record<string, string> =
        body === undefined ? {} : { 'Content-Length': String(body.length) };
      const request = openRequest(requestPlace(url, path), {
        method,
        tls,
        agents: this.#agents,
        headers: { ...headers, ...length },
        dialTimeoutMs: Math.min(dialTimeoutMs, timeoutMs),
        localAddress,
        idleTimeoutMs: Math.ceil(timeoutMs),
      });
      const timer = setTimeout(() => {
        request.destroy(new PeerRequestError(`no answer within ${Math.round(timeoutMs)} ms`));
      }, timeoutMs);
      request.on('close', () => clearTimeout(timer));
      request.on('error', reject);
      request.on('response', (response) => {
        readBody(response, maxBytes).then(
          (answer) => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: answer }),
          reject,
        );
      });
      request.end(body);
    });
  }
}

function leaseQuestion(path: string, body: Buffer, timeoutMs: number): Question {
  return { method: 'POST', path, headers: { 'Content-Type': 'application/protobuf' }, body, timeoutMs };
}

function checkLease({ status, body }: Answer): void {
  if (status === 404) throw errors.LeaseNotFound;
  if (status === 408) throw errors.Timeout;
  if (status !== 200) throw new PeerRequestError(`lease: unknown error(${body.toString().trimEnd()})`);
}

function decodeHash(text: string): RemoteHash {
  const fields = JSON.parse(text) as Readonly<Record<string, unknown>>;
  const number = (value: unknown): number => (typeof value === 'number' ? value : 0);
  const { header: head } = fields;
  const revision = typeof head === 'object' && head !== null && 'revision' in head ? head.revision : 0;
  return {
    hash: number(fields['hash']),
    revision: number(revision),
    hashRevision: number(fields['hash_revision']),
    compactRevision: number(fields['compact_revision']),
  };
}

function asRequestError(error: unknown, url: string): PeerRequestError {
  if (error instanceof PeerRequestError) return error;
  const reason = reasonOf(error);
  return new PeerRequestError(`${url}: ${reason}`, { cause: error });
}
