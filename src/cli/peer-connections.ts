import type { Config } from '../config/config.ts';
import { assert } from '../lib/assert.ts';
import { hex } from '../lib/text.ts';
import type { Logging } from '../logging/logging.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { PeerHttpClient } from '../peer/client.ts';
import { createPeerHttpHandler } from '../peer/http-handler.ts';
import { PeerServer } from '../peer/server.ts';
import { Transport } from '../peer/transport.ts';
import type { PeerService, PeerClient, RemoteStatus } from '../ports/peer-client.ts';
import type { PeerTransport, PeerTransportHandler } from '../ports/peer-transport.ts';
import type { Identity } from '../server/identity.ts';
import type { PeerPorts } from '../server/whole-member.ts';
import { exportSnapshot } from '../snapshot/export-snapshot.ts';
import { membershipData } from '../snapshot/membership-data.ts';
import { IncomingSnapshots } from '../snapshot/receive-snapshot.ts';
import type { Storage } from '../storage/open-storage.ts';
import { openPeerTls } from '../tls/open-tls.ts';
import type { TlsEndpoint } from '../tls/tls-endpoint.ts';
import { clock } from './clock.ts';
import { listenAddress } from './listen-address.ts';
import { checkPeerUrls } from './secure-urls.ts';
import { ETCD_VERSION } from './version.ts';

/** As etcd: the dial timeout is the election timeout plus this. */
const DIAL_ALLOWANCE_MS = 1_000;

interface PortsOptions {
  readonly identity: Identity;
  readonly storage: Storage;
  readonly metrics: Metrics;
}

/** The connections with the other members, incoming and outgoing. */
export class PeerConnections {
  readonly client: PeerClient;
  /** Resolves when the cluster has removed this member. */
  readonly removed: Promise<void>;
  readonly #config: Config;
  readonly #logging: Logging;
  readonly #tls: TlsEndpoint | undefined;
  readonly #onRemoved: () => void;
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

  /** Rejects with TlsFileError if a certificate is invalid. */
  static async prepare(config: Config, logging: Logging): Promise<PeerConnections> {
    const tls = await openPeerTls({ config, logger: logging.for('tls/tls-endpoint.ts') });
    checkPeerUrls(config, tls);
    return new PeerConnections(config, logging, tls);
  }

  /** Returns the ports for the communication with other members. */
  ports({ identity, storage, metrics }: PortsOptions): PeerPorts {
    const incoming = new IncomingSnapshots(storage.directory.snap, storage.engine.replacementDirectory);
    return {
      client: this.client,
      openTransport: (handler) => this.#openTransport(handler, identity, metrics),
      snapshots: {
        export: () => exportSnapshot(storage.engine),
        membershipData: (cluster) =>
          membershipData({
            members: cluster.members(),
            removedIds: cluster.removedIds(),
            version: cluster.version,
          }),
        receive: async (body, index, part) => {
          await incoming.receive({ body, index, ...part });
        },
        kept: (id) => incoming.keptOf(id),
      },
      removed: this.#onRemoved,
    };
  }

  /** Listens for the other members. */
  async listen(service: PeerService, status: () => RemoteStatus): Promise<void> {
    const transport = this.#transport;
    assert(transport !== undefined, 'the member has opened its transport');
    const server = new PeerServer({
      handler: createPeerHttpHandler({
        service,
        serverVersion: ETCD_VERSION,
        status,
        logger: this.#logging.for('peer/http-handler.ts'),
        raft: (request, response) => transport.serve(request, response),
      }),
      tls: this.#tls,
    });
    this.#server = server;
    for (const url of this.#config.listenPeerUrls) {
      await server.listen({ ...listenAddress(url, this.#config), secure: url.secure });
    }
  }

  async stop(): Promise<void> {
    this.#transport?.stop();
    this.client.close();
    await this.#server?.close();
  }

  #openTransport(handler: PeerTransportHandler, identity: Identity, metrics: Metrics): PeerTransport {
    const config = this.#config;
    const { network } = metrics;
    const transport = new Transport({
      localId: identity.memberId,
      clusterId: identity.clusterId,
      serverVersion: ETCD_VERSION,
      urls: config.advertisePeerUrls.map(({ text }) => text),
      handler,
      logger: this.#logging.for('peer/transport.ts'),
      clock,
      dialTimeoutMs: config.electionTimeoutMs + DIAL_ALLOWANCE_MS,
      readTimeoutMs: config.raftReadTimeoutMs,
      writeTimeoutMs: config.raftWriteTimeoutMs,
      localAddress: config.localAddress,
      reconnectTimeoutMs: config.electionTimeoutMs / 2,
      tls: this.#tls,
      observer: {
        roundTrip: (id, seconds) => network.peerRoundTrip.with(hex(id)).observe(seconds),
        snapshotSent: (id, seconds) => network.snapshotSend.with(hex(id)).observe(seconds),
        snapshotReceived: (id, seconds) => {
          network.snapshotReceive.with(hex(id)).observe(seconds);
          // The time includes the creation of the store from the received file.
          metrics.disk.snapDbSave.observe(seconds);
        },
      },
    });
    this.#transport = transport;
    metrics.peers = () => transport.counts();
    return transport;
  }
}
