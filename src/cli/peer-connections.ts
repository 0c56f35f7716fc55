import type { IncomingMessage, ServerResponse } from 'node:http';
import type { LeaderLeases, Leases } from '../api/leases.ts';
import type { Config } from '../config/config.ts';
import type { Logging } from '../logging/logging.ts';
import { formatId } from '../membership/member.ts';
import { formatVersion } from '../membership/version.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { PeerHttpClient } from '../peer/client.ts';
import { createPeerHttpHandler } from '../peer/http-handler.ts';
import { PeerServer } from '../peer/server.ts';
import { Transport } from '../peer/transport.ts';
import type { PeerAnswers, PeerClient } from '../ports/peer-client.ts';
import type { Message } from '../raft/types.ts';
import { hashStore } from '../server/hash-store.ts';
import type { Member } from '../server/member.ts';
import type { Memberships, Reachability } from '../server/memberships.ts';
import { PeerLink } from '../server/peer-link.ts';
import { exportSnapshot } from '../snapshot/export-snapshot.ts';
import { membershipData } from '../snapshot/membership-data.ts';
import { IncomingSnapshots } from '../snapshot/receive-snapshot.ts';
import type { Storage } from '../storage/open-storage.ts';
import { openPeerTls } from '../tls/open-tls.ts';
import type { TlsEndpoint } from '../tls/tls-endpoint.ts';
import { clock } from './clock.ts';
import { listenPlace } from './listen-place.ts';
import { checkPeerUrls } from './secure-urls.ts';
import { etcdVersion } from './version.ts';

/** etcd's allowance for connecting to a member, beyond the election timeout. */
const DIAL_ALLOWANCE_MS = 1_000;

interface Connecting {
  readonly member: Member;
  readonly storage: Storage;
  readonly metrics: Metrics;
  readonly leases: Leases;
  readonly memberships: Memberships;
  readonly remotes: readonly { readonly id: bigint; readonly peerUrls: readonly string[] }[];
}

/** The connections with the other members: what listens for them, and what goes out to them. */
export class PeerConnections implements Reachability {
  readonly client: PeerClient;
  /** Resolves when the cluster has removed this member. */
  readonly removed: Promise<void>;
  readonly #config: Config;
  readonly #logging: Logging;
  readonly #tls: TlsEndpoint | undefined;
  readonly #onRemoved: () => void;
  #link: PeerLink | undefined;
  #transport: Transport | undefined;
  #server: PeerServer | undefined;

  private constructor(config: Config, logging: Logging, tls: TlsEndpoint | undefined) {
    this.#config = config;
    this.#logging = logging;
    this.#tls = tls;
    this.client = new PeerHttpClient({
      tls,
      dialTimeoutMs: config.electionTimeoutMs + DIAL_ALLOWANCE_MS,
      localAddress: config.localAddress,
    });
    let onRemoved = (): void => undefined;
    this.removed = new Promise((resolve) => {
      onRemoved = resolve;
    });
    this.#onRemoved = onRemoved;
  }

  /** Rejects with TlsFileError for certificates that cannot be used. */
  static async prepare(config: Config, logging: Logging): Promise<PeerConnections> {
    const tls = await openPeerTls({ config, logger: logging.for('tls/tls-endpoint.ts') });
    checkPeerUrls(config, tls);
    return new PeerConnections(config, logging, tls);
  }

  /** Listens for the other members and connects to those that are known. */
  async connect(connecting: Connecting): Promise<void> {
    const { member, storage, metrics, remotes } = connecting;
    const config = this.#config;
    const { memberId, clusterId } = member.identity;
    const handler: { link: PeerLink | undefined } = { link: undefined };
    const link = (): PeerLink => {
      if (handler.link === undefined) throw new Error('the peers are not connected yet');
      return handler.link;
    };
    const transport = new Transport({
      localId: memberId,
      clusterId,
      serverVersion: etcdVersion,
      urls: config.advertisePeerUrls.map(({ text }) => text),
      handler: {
        onMessages: (messages) => link().onMessages(messages),
        isIdRemoved: (id) => link().isIdRemoved(id),
        reportUnreachable: (id) => link().reportUnreachable(id),
        reportSnapshot: (id, ok) => link().reportSnapshot(id, ok),
        onSnapshot: (message, chunks, part) => link().onSnapshot(message, chunks, part),
        keptOfSnapshot: (id) => link().keptOfSnapshot(id),
        onConnectionClosed: (id) => link().onConnectionClosed(id),
        onRemoved: () => link().onRemoved(),
      },
      logger: this.#logging.for('peer/transport.ts'),
      clock,
      dialTimeoutMs: config.electionTimeoutMs + DIAL_ALLOWANCE_MS,
      readTimeoutMs: config.raftReadTimeoutMs,
      writeTimeoutMs: config.raftWriteTimeoutMs,
      localAddress: config.localAddress,
      tls: this.#tls,
      observer: {
        roundTrip: (id, seconds) => metrics.network.peerRoundTrip.with(formatId(id)).observe(seconds),
        snapshotSent: (id, seconds) => metrics.network.snapshotSend.with(formatId(id)).observe(seconds),
        snapshotReceived: (id, seconds) => {
          metrics.network.snapshotReceive.with(formatId(id)).observe(seconds);
          // The store is made of it before the sender hears that it has come.
          metrics.disk.snapDbSave.observe(seconds);
        },
      },
    });
    const incoming = new IncomingSnapshots(storage.directory.snap, storage.engine.replacementDirectory);
    handler.link = new PeerLink({
      member,
      transport,
      exportSnapshot: () => exportSnapshot(storage.engine),
      membershipData: () => membershipOf(member),
      receiveSnapshot: async (body, index, part) => {
        await incoming.receive({ body, index, ...part });
      },
      keptOfSnapshot: (id) => incoming.keptOf(id),
      removed: this.#onRemoved,
      logger: this.#logging.for('server/peer-link.ts'),
    });
    this.#transport = transport;
    this.#link = handler.link;
    metrics.peers = () => transport.counts();
    for (const { id, peerUrls } of remotes) transport.addRemote(id, peerUrls);
    handler.link.connectAll();
    await this.#listen(connecting, (request, response) => transport.serve(request, response));
  }

  send(messages: readonly Message[]): void {
    this.#link?.send(messages);
  }

  activeSince(id: bigint): number | undefined {
    return this.#transport?.activeSince(id);
  }

  /** Members that a connection works with. */
  activePeers(): number {
    return this.#transport?.activePeers() ?? 0;
  }

  /** How leases are renewed where another member leads. */
  leaderLeases(member: Member): LeaderLeases {
    const { requestTimeoutMs, electionTimeoutMs } = this.#config;
    // A leader that hangs is followed by another within about two election timeouts: time to ask that one.
    const timeoutMs = Math.min(requestTimeoutMs, 2 * electionTimeoutMs);
    const leaderUrls = (): readonly string[] => member.cluster.member(member.consensus.lead)?.peerUrls ?? [];
    return {
      renew: (id) => this.client.renewLease(leaderUrls(), id, timeoutMs),
      timeToLive: (id, withKeys) => this.client.leaseTimeToLive(leaderUrls(), id, withKeys, timeoutMs),
    };
  }

  async stop(): Promise<void> {
    this.#transport?.stop();
    this.client.close();
    await this.#server?.close();
  }

  async #listen(
    { member, leases, memberships }: Connecting,
    raft: (request: IncomingMessage, response: ServerResponse) => void,
  ): Promise<void> {
    const server = new PeerServer({
      handler: createPeerHttpHandler({
        answers: peerAnswers(member, leases, memberships),
        serverVersion: etcdVersion,
        logger: this.#logging.for('peer/http-handler.ts'),
        raft,
      }),
      tls: this.#tls,
    });
    this.#server = server;
    for (const url of this.#config.listenPeerUrls) {
      await server.listen({ ...listenPlace(url), secure: url.secure });
    }
  }
}

function membershipOf({ cluster }: Member): Buffer {
  const { version } = cluster;
  return membershipData({ members: cluster.members(), removedIds: cluster.removedIds(), version });
}

function peerAnswers(member: Member, leases: Leases, memberships: Memberships): PeerAnswers {
  const { cluster, store } = member;
  return {
    clusterId: member.identity.clusterId,
    members: () => cluster.members(),
    versions: () => {
      const text = cluster.version === undefined ? undefined : formatVersion(cluster.version);
      return { cluster: text ?? 'not_decided', storage: text ?? 'unknown' };
    },
    promote: (id) => memberships.promoteHere(id),
    renewLease: (id) => leases.renewHere(id),
    leaseTimeToLive: (id, withKeys) => leases.timeToLiveHere(id, withKeys),
    hashKv: async (revision) => {
      const { hash, revision: hashRevision, compactRevision } = await hashStore(member, revision);
      return { hash, revision: store.revision, hashRevision, compactRevision };
    },
    downgradeEnabled: () =>
      new Promise((resolve, reject) => {
        member.read({ readable: () => resolve(cluster.downgrade.enabled), failed: reject });
      }),
  };
}
