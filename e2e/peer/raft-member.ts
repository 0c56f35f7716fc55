import { performance } from 'node:perf_hooks';
import { encodeMember } from '../../src/membership/member-json.ts';
import { clusterId, type ClusterMember, memberId } from '../../src/membership/member.ts';
import { createPeerHttpHandler } from '../../src/peer/http-handler.ts';
import { PeerServer } from '../../src/peer/server.ts';
import type { PeerTls } from '../../src/peer/request.ts';
import { Transport } from '../../src/peer/transport.ts';
import type { Logger } from '../../src/ports/logger.ts';
import type { PeerService } from '../../src/ports/peer-client.ts';
import type { PeerTransportHandler } from '../../src/ports/peer-transport.ts';
import { MemoryStorage } from '../../src/raft/memory-storage.ts';
import { RawNode } from '../../src/raft/raw-node.ts';
import { ConfChange, EntryType, type Message, MessageType, type Ready } from '../../src/raft/types.ts';

/** etcd's default token. */
const TOKEN = 'etcd-cluster';
const TICK_MS = 100;

export interface InitialMember {
  readonly name: string;
  readonly port: number;
}

/** The members and the cluster as etcd derives them from `--initial-cluster`. */
export function initialCluster(
  initialMembers: readonly InitialMember[],
  scheme: 'http' | 'https' = 'http',
): { id: bigint; members: ClusterMember[] } {
  const members = initialMembers
    .map(({ name, port }): ClusterMember => {
      const peerUrls = [`${scheme}://127.0.0.1:${port}`];
      return { id: memberId({ peerUrls, token: TOKEN }), name, peerUrls, clientUrls: [], isLearner: false };
    })
    .sort((a, b) => (a.id < b.id ? -1 : 1));
  return { id: clusterId(members.map(({ id }) => id)), members };
}

/** Messages by type, as `MsgApp`. */
export type MessageCounts = Partial<Record<string, number>>;

const typeNames = new Map<number, string>(Object.entries(MessageType).map(([name, type]) => [type, name]));

function count(counts: MessageCounts, messages: readonly Message[]): void {
  for (const { type } of messages) {
    const name = typeNames.get(type) ?? String(type);
    counts[name] = (counts[name] ?? 0) + 1;
  }
}

/** A voter with a log in memory that applies nothing: only raft and the transport, in a cluster with real etcd members. */
export class RaftMember implements PeerTransportHandler {
  readonly id: bigint;
  readonly received: MessageCounts = {};
  readonly sent: MessageCounts = {};
  readonly gone: bigint[] = [];
  readonly snapshots: { message: Message; bytes: Buffer }[] = [];
  readonly log: string[] = [];
  removed = false;
  readonly storage = new MemoryStorage();
  readonly snapshotReports: [id: bigint, ok: boolean][] = [];
  /** The database to send to members that need a snapshot: as of the storage's own. */
  database: Buffer | undefined;
  readonly node: RawNode;
  readonly #cluster: ReturnType<typeof initialCluster>;
  readonly #port: number;
  readonly #urls: readonly string[];
  readonly #tls: PeerTls | undefined;
  #online: { transport: Transport; server: PeerServer; timer: NodeJS.Timeout } | undefined;
  #scheduled = false;

  constructor(initialMembers: readonly InitialMember[], name: string, tls?: PeerTls) {
    const cluster = initialCluster(initialMembers, tls === undefined ? 'http' : 'https');
    const self = cluster.members.find((member) => member.name === name);
    const initialMember = initialMembers.find((one) => one.name === name);
    if (self === undefined || initialMember === undefined) throw new Error(`${name} is no initialMember`);
    this.id = self.id;
    this.#cluster = cluster;
    this.#urls = self.peerUrls;
    this.#tls = tls;
    this.#port = initialMember.port;
    this.node = new RawNode({
      id: self.id,
      electionTick: 10,
      heartbeatTick: 1,
      storage: this.storage,
      randomInt: (bound) => Math.floor(Math.random() * bound),
      logger: this.#logger(),
      maxSizePerMessage: 512 * 1024,
      maxInflightMessages: 512,
      checkQuorum: true,
      preVote: true,
    });
    this.node.bootstrap(cluster.members.map((member) => ({ id: member.id, context: encodeMember(member) })));
  }

  get transport(): Transport {
    if (this.#online === undefined) throw new Error('the member is offline');
    return this.#online.transport;
  }

  idOf(name: string): bigint {
    const member = this.#cluster.members.find((one) => one.name === name);
    if (member === undefined) throw new Error(`${name} is no member`);
    return member.id;
  }

  async connect(): Promise<void> {
    const late: { transport?: Transport } = {};
    const server = new PeerServer({
      handler: createPeerHttpHandler({
        service: this.#service(),
        serverVersion: '3.7.1',
        logger: this.#logger(),
        raft: (request, response) => late.transport?.serve(request, response),
      }),
      tls: this.#tls,
    });
    await server.listen({ host: '127.0.0.1', port: this.#port, secure: this.#tls !== undefined });
    const transport = new Transport({
      localId: this.id,
      clusterId: this.#cluster.id,
      serverVersion: '3.7.1',
      urls: this.#urls,
      tls: this.#tls,
      handler: this,
      logger: this.#logger(),
      clock: { now: () => performance.now(), wall: () => Date.now() },
      dialTimeoutMs: 2_000,
      reconnectTimeoutMs: 500,
    });
    late.transport = transport;
    for (const { id, peerUrls } of this.#cluster.members) if (id !== this.id) transport.addPeer(id, peerUrls);
    const timer = setInterval(() => {
      this.node.tick();
      this.schedule();
    }, TICK_MS);
    this.#online = { transport, server, timer };
    this.schedule();
  }

  async disconnect(): Promise<void> {
    const online = this.#online;
    this.#online = undefined;
    if (online === undefined) return;
    clearInterval(online.timer);
    online.transport.stop();
    await online.server.close();
  }

  onMessages(messages: readonly Message[]): undefined {
    count(this.received, messages);
    for (const message of messages) this.node.step(message);
    this.schedule();
  }

  isLogBehind(): boolean {
    return false;
  }

  isIdRemoved(): boolean {
    return false;
  }

  reportUnreachable(id: bigint): void {
    this.node.reportUnreachable(id);
    this.schedule();
  }

  reportSnapshot(id: bigint, ok: boolean): void {
    this.snapshotReports.push([id, ok]);
    this.node.reportSnapshot(id, ok ? 'finished' : 'failed');
    this.schedule();
  }

  async onSnapshot(message: Message, chunks: AsyncIterable<Buffer>): Promise<void> {
    const parts: Buffer[] = [];
    for await (const chunk of chunks) parts.push(chunk);
    this.snapshots.push({ message, bytes: Buffer.concat(parts) });
    this.onMessages([message]);
  }

  keptOfSnapshot(): number {
    return 0;
  }

  onPeerGone(id: bigint): void {
    this.gone.push(id);
  }

  onRemoved(): void {
    this.removed = true;
  }

  schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      while (this.#online !== undefined && this.node.hasReady())
        this.#handle(this.node.ready(), this.transport);
    });
  }

  #handle(ready: Ready, transport: Transport): void {
    if (ready.snapshot !== undefined) this.storage.applySnapshot(ready.snapshot);
    this.storage.append(ready.entries);
    if (ready.hardState !== undefined) this.storage.setHardState(ready.hardState);
    count(this.sent, ready.messages);
    transport.send(ready.messages.filter(({ type }) => type !== MessageType.MsgSnap));
    for (const message of ready.messages)
      if (message.type === MessageType.MsgSnap) this.#sendSnapshot(message);
    for (const { type, data } of ready.committedEntries)
      if (type === EntryType.EntryConfChange)
        this.node.applyConfChange(ConfChange.decode(data ?? Buffer.alloc(0)));
    this.node.advance();
  }

  #sendSnapshot(message: Message): void {
    const { database } = this;
    if (database === undefined) throw new Error('there is no database to send');
    async function* chunks(bytes: Buffer): AsyncGenerator<Buffer> {
      for (let at = 0; at < bytes.length; at += 10_000)
        yield await Promise.resolve(bytes.subarray(at, at + 10_000));
    }
    this.transport.sendSnapshot(message, { totalBytes: database.length, chunks: chunks(database) });
  }

  #service(): PeerService {
    const none = (): never => {
      throw new Error('this member has no state');
    };
    return {
      clusterId: this.#cluster.id,
      members: () => this.#cluster.members,
      versions: () => ({ cluster: '3.7.0', storage: '3.7.0' }),
      promote: none,
      rejoin: none,
      renewLease: none,
      leaseTimeToLive: none,
      hashKv: none,
      downgradeEnabled: () => Promise.resolve(false),
    };
  }

  #logger(): Logger {
    const write = (level: string) => (message: string, fields?: Readonly<Record<string, unknown>>) => {
      const shown = (_: string, value: unknown): unknown =>
        typeof value === 'bigint' ? String(value) : value;
      this.log.push(`${level} ${message} ${JSON.stringify(fields ?? {}, shown)}`);
    };
    return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
  }
}
