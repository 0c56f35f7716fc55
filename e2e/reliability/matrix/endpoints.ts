import { setTimeout as sleep } from 'node:timers/promises';
import {
  HashKVRequest,
  LeaseGrantRequest,
  LeaseLeasesRequest,
  MemberListRequest,
  PutRequest,
  SnapshotRequest,
  StatusRequest,
} from '../../../src/wire/gen/etcdserverpb.ts';
import { Cluster, KV, Lease, Maintenance } from '../../../src/wire/services.ts';
import { LoadClient } from '../../harness/load-client.ts';
import { RpcClient } from '../../harness/rpc-client.ts';

const EVERY_MS = 200;
const TIMEOUT_MS = 2_000;
/** Requests that read the whole store are sent only in each round of this number. */
const FULL_READ_EVERY = 10;
const LEASE_SECONDS = 2;
/** Prefix of keys whose leases are not kept alive. */
export const LEASED = 'leased/';

/** Sends all kinds of other requests to a member all the time and accepts any response. */
export class EndpointUser {
  answered = 0;
  readonly #running: Promise<void>;
  #stopped = false;

  constructor(endpoint: string) {
    this.#running = this.#run(endpoint);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #run(endpoint: string): Promise<void> {
    const client = new LoadClient(endpoint, { timeoutMs: TIMEOUT_MS });
    for (let turn = 0; !this.#stopped; turn += 1) {
      const asked = [
        ...['/metrics', '/health', '/readyz', '/livez', '/version'].map((path) => get(endpoint, path)),
        post(endpoint, '/v3/kv/range', { key: 'azA=' }),
        post(endpoint, '/v3/maintenance/status', {}),
        this.#unary(client.unary(Maintenance.methods.status, StatusRequest.create())),
        this.#unary(client.unary(Cluster.methods.memberList, MemberListRequest.create())),
        this.#unary(client.unary(Lease.methods.leaseLeases, LeaseLeasesRequest.create())),
        lease(client, `${LEASED}${endpoint}/${turn}`),
      ];
      for (const answered of await Promise.all(asked)) if (answered) this.answered += 1;
      if (turn % FULL_READ_EVERY === 0) {
        await this.#unary(client.unary(Maintenance.methods.hashKv, HashKVRequest.create()));
        await snapshot(endpoint);
      }
      await sleep(EVERY_MS);
    }
    client.close();
  }

  async #unary(call: ReturnType<LoadClient['unary']>): Promise<boolean> {
    return 'messages' in (await call);
  }
}

async function get(endpoint: string, path: string): Promise<boolean> {
  return isAnswered(fetch(`http://${endpoint}${path}`, { signal: AbortSignal.timeout(TIMEOUT_MS) }));
}

async function post(endpoint: string, path: string, body: object): Promise<boolean> {
  return isAnswered(
    fetch(`http://${endpoint}${path}`, {
      method: 'POST',
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    }),
  );
}

/** Returns false if the member does not answer, for example because it is down or isolated. */
async function isAnswered(response: Promise<Response>): Promise<boolean> {
  try {
    await (await response).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

/** Puts a key with a lease. */
async function lease(client: LoadClient, key: string): Promise<boolean> {
  const request = LeaseGrantRequest.create({ ttl: LEASE_SECONDS });
  const granted = await client.unary(Lease.methods.leaseGrant, request);
  if ('code' in granted) return false;
  const { id } = granted.messages[0] as { id: bigint };
  const put = PutRequest.create({ key: Buffer.from(key), value: Buffer.from('leased'), lease: id });
  return 'messages' in (await client.unary(KV.methods.put, put));
}

async function snapshot(endpoint: string): Promise<boolean> {
  const client = new RpcClient(endpoint, { timeoutMs: 10_000 });
  const answer = await client.serverStream(Maintenance.methods.snapshot, SnapshotRequest.create());
  client.close();
  return 'messages' in answer;
}
