import { setTimeout as sleep } from 'node:timers/promises';
import { type ChannelCredentials, credentials } from '@grpc/grpc-js';
import { SeededRandom } from '../../../src/lib/seeded-random.ts';
import { GrpcCode } from '../../../src/wire/errors.ts';
import {
  CompactionRequest,
  DeleteRangeRequest,
  LeaseGrantRequest,
  PutRequest,
  RangeRequest,
  WatchCreateRequest,
  WatchRequest,
} from '../../../src/wire/gen/etcdserverpb.ts';
import { KV, Lease, Watch } from '../../../src/wire/services.ts';
import { compareAndPut } from '../../../src/sim/compare-and-put.ts';
import { LoadClient } from '../../harness/load-client.ts';
import type { Member } from '../../harness/member.ts';
import { type Answer, RpcClient } from '../../harness/rpc-client.ts';
import type { SoakCluster } from './members.ts';

const KEYS = 2_000;
const LEASE_SECONDS = 10;
const PAGE = 100;
const TIMEOUT_MS = 5_000;
const VALUES = [200, 1 << 10, 1 << 10, 4 << 10].map((bytes) => Buffer.alloc(bytes, 'v'));

interface Watcher {
  readonly client: RpcClient;
  readonly stream: { cancel(): void };
}

/** Sends requests of all kinds at a limited rate, and runs watchers. Reconnects after a change of certificates. */
export class SoakLoad {
  answered = 0;
  failed = 0;
  events = 0;
  #revision = 0;
  readonly #random = new SeededRandom(1);
  readonly #cluster: SoakCluster;
  readonly #clients = new Map<Member, LoadClient>();
  readonly #running: Promise<void>;
  #watchers: Watcher[] = [];
  #stopped = false;

  constructor(cluster: SoakCluster, perSecond: number) {
    this.#cluster = cluster;
    this.#running = this.#run(1_000 / perSecond);
    this.watchAnew();
  }

  /** Compacts the history up to now, as kube-apiserver does. */
  async compact(): Promise<void> {
    if (this.#revision > 0)
      await this.#client().unary(KV.methods.compact, CompactionRequest.create({ revision: this.#revision }));
  }

  /** New connections, as after new certificates. */
  connectAnew(): void {
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
    this.watchAnew();
  }

  watchAnew(): void {
    this.#closeWatchers();
    this.#watchers = this.#cluster.members.map(({ endpoint }) => this.#watch(endpoint));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
    for (const client of this.#clients.values()) client.close();
    this.#closeWatchers();
  }

  /** The client leaves a connection open for as long as it has a stream, so the stream ends first. */
  #closeWatchers(): void {
    for (const { client, stream } of this.#watchers) {
      stream.cancel();
      client.close();
    }
  }

  async #run(everyMs: number): Promise<void> {
    const begun = performance.now();
    const open = new Set<Promise<void>>();
    for (let turn = 0; !this.#stopped; turn += 1) {
      const call = this.#askAny().then((answer) => this.#take(answer));
      open.add(call);
      void call.finally(() => open.delete(call));
      const early = begun + turn * everyMs - performance.now();
      if (early > 0) await sleep(early);
    }
    await Promise.all(open);
  }

  #take(answer: Answer): void {
    if ('code' in answer) {
      this.failed += 1;
      return;
    }
    this.answered += 1;
    const { header } = answer.messages[0] as { header?: { revision: number } };
    this.#revision = Math.max(this.#revision, header?.revision ?? 0);
  }

  /** Like a client with several endpoints: if one member refuses a request, the next one gets it. */
  async #askAny(): Promise<Answer> {
    const { members } = this.#cluster;
    const first = this.#random.int(members.length);
    for (let at = 0; ; at += 1) {
      const member = members[(first + at) % members.length];
      if (member === undefined) throw new Error('the cluster has members');
      const answer = await this.#ask(this.#client(member));
      if ('messages' in answer || answer.code !== GrpcCode.Unavailable || at + 1 >= members.length)
        return answer;
    }
  }

  #client(member = this.#random.pick(this.#cluster.members)): LoadClient {
    const known = this.#clients.get(member);
    if (known !== undefined) return known;
    const client = new LoadClient(member.endpoint, { timeoutMs: TIMEOUT_MS, tls: () => this.#cluster.tls });
    this.#clients.set(member, client);
    return client;
  }

  #ask(client: LoadClient): Promise<Answer> {
    const name = `soak/${this.#random.int(KEYS)}`;
    const key = Buffer.from(name);
    const value = this.#random.pick(VALUES);
    const kind = this.#random.next();
    if (kind < 0.45) return client.unary(KV.methods.put, PutRequest.create({ key, value }));
    if (kind < 0.65) return client.unary(KV.methods.range, RangeRequest.create({ key }));
    if (kind < 0.7) {
      const rangeEnd = Buffer.from('soak0');
      return client.unary(KV.methods.range, RangeRequest.create({ key, rangeEnd, limit: PAGE }));
    }
    if (kind < 0.8) {
      const txn = compareAndPut({ kind: 'txn', key: name, ifMod: 0, value: 'created' });
      return client.unary(KV.methods.txn, txn);
    }
    if (kind < 0.9) return client.unary(KV.methods.deleteRange, DeleteRangeRequest.create({ key }));
    return leased(client, key);
  }

  #watch(endpoint: string): Watcher {
    const client = new RpcClient(endpoint, { security: this.#security() });
    const stream = client.openStream(Watch.methods.watch);
    stream.on('data', ({ events }: { events: unknown[] }) => {
      this.events += events.length;
    });
    stream.on('error', () => undefined);
    const value = WatchCreateRequest.create({ key: Buffer.from('soak/'), rangeEnd: Buffer.from('soak0') });
    stream.write(WatchRequest.create({ requestUnion: { case: 'createRequest', value } }));
    return { client, stream };
  }

  #security(): ChannelCredentials {
    const { ca, key, cert } = this.#cluster.tls;
    return credentials.createSsl(ca as Buffer, key as Buffer, cert as Buffer);
  }
}

/** Puts a key with a lease. */
async function leased(client: LoadClient, key: Buffer): Promise<Answer> {
  const request = LeaseGrantRequest.create({ ttl: LEASE_SECONDS });
  const granted = await client.unary(Lease.methods.leaseGrant, request);
  if ('code' in granted) return granted;
  const { id } = granted.messages[0] as { id: bigint };
  return client.unary(KV.methods.put, PutRequest.create({ key, value: Buffer.from('leased'), lease: id }));
}
