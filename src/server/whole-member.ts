import type { Cluster } from '../membership/cluster.ts';
import type { PeerService, PeerClient } from '../ports/peer-client.ts';
import type { PeerTransport, PeerTransportHandler, SnapshotPart } from '../ports/peer-transport.ts';
import type { ExportSnapshot } from '../ports/snapshot.ts';
import { assert } from '../lib/assert.ts';
import { CorruptionChecker } from './corruption-checker.ts';
import { Downgrades } from './downgrades.ts';
import { transferLeadership } from './leadership-transfer.ts';
import type { BootstrapResult } from './identity.ts';
import { type LeaderLeases, Leases } from './leases.ts';
import { Member } from './member.ts';
import { observeMember } from './member-metrics.ts';
import type { MemberOptions } from './member-options.ts';
import { Memberships } from './memberships.ts';
import { peerServiceOf } from './peer-service.ts';
import { Rejoins } from './rejoins.ts';
import { PeerRouter } from './peer-router.ts';
import { startPeriodicTasks, stopPeriodicTasks, type PeriodicTasks } from './periodic-tasks.ts';
import { UsageCounter } from './usage-counter.ts';
import { WatchPump } from './watch-pump.ts';

/** Sends the store to other members as a snapshot, and receives theirs. */
export interface SnapshotPorts {
  readonly export: ExportSnapshot;
  /** Encodes the membership for the `data` field of a snapshot. */
  readonly membershipData: (cluster: Cluster) => Buffer;
  /** Receives the database of a snapshot. Resolves when it is a complete store that can replace the present one. */
  readonly receive: (chunks: AsyncIterable<Buffer>, index: number, part: SnapshotPart) => Promise<void>;
  /** Number of bytes of a snapshot that were received before its transfer failed. */
  readonly kept: (id: string) => number;
}

/** The communication with other members. */
export interface PeerPorts {
  readonly client: PeerClient;
  readonly openTransport: (handler: PeerTransportHandler) => PeerTransport;
  readonly snapshots: SnapshotPorts;
  /** Called once when the cluster has removed this member. */
  readonly removed: () => void;
}

/** Everything that a member needs from its machine, or from a simulated one. */
export interface MemberPorts extends Omit<MemberOptions, 'send'>, PeerPorts {
  /** The members of the cluster that this one joins. Its own log does not contain them yet. */
  readonly remotes: BootstrapResult['remotes'];
  /** The version that this member reports. */
  readonly serverVersion: string;
}

/**
 * A whole member: state, raft, periodic tasks, peer connections and the delivery of watch events. The server, the
 * simulation and the tests all run this class, each with its own ports.
 *
 * It is started in three steps, because the server has other work in between: `checkInitially`, `connect`, `start`.
 */
export class WholeMember {
  readonly member: Member;
  readonly memberships: Memberships;
  readonly rejoins: Rejoins;
  readonly leases: Leases;
  readonly downgrades: Downgrades;
  /** Serves requests of other members. */
  readonly peerService: PeerService;
  readonly pump: WatchPump;
  /** Undefined if nothing is counted by prefix. */
  readonly usage: UsageCounter | undefined;
  readonly #ports: MemberPorts;
  readonly #router: PeerRouter;
  readonly #corruption: CorruptionChecker;
  #periodicTasks: PeriodicTasks | undefined;

  constructor(ports: MemberPorts) {
    this.#ports = ports;
    const { identity, config, client, snapshots, logger } = ports;
    const member = new Member({ ...ports, send: (messages) => this.#router.send(messages) });
    this.member = member;
    this.#router = new PeerRouter({
      member,
      openTransport: ports.openTransport,
      exportSnapshot: snapshots.export,
      membershipData: () => snapshots.membershipData(member.cluster),
      receiveSnapshot: snapshots.receive,
      keptOfSnapshot: snapshots.kept,
      removed: ports.removed,
      logger: logger('server/peer-router.ts'),
    });
    observeMember(member, ports.metrics);
    this.#corruption = new CorruptionChecker({
      member,
      remoteHash: (urls, revision) =>
        client.hashKv(urls, identity.clusterId, revision, config.requestTimeoutMs),
      logger: logger('server/corruption-checker.ts'),
    });
    this.memberships = new Memberships({
      member,
      client,
      peers: this.transport,
      logger: logger('server/memberships.ts'),
    });
    this.rejoins = new Rejoins({
      member,
      memberships: this.memberships,
      peers: this.transport,
      logger: logger('server/rejoins.ts'),
    });
    this.leases = new Leases(member, leaderLeases(member, client));
    this.downgrades = new Downgrades(member);
    this.peerService = peerServiceOf(this);
    this.pump = new WatchPump(member.hub, ports.scheduler);
    this.usage = config.usage === undefined ? undefined : new UsageCounter(member, config.usage);
    ports.metrics.usage = this.usage;
  }

  get transport(): PeerTransport {
    return this.#router.transport;
  }

  /** The periodic tasks; only after the start. */
  get periodicTasks(): PeriodicTasks {
    assert(this.#periodicTasks !== undefined, 'the periodic tasks of a member run after its start');
    return this.#periodicTasks;
  }

  /** The initial corruption check. @returns false if the data of this member differs from that of another member */
  checkInitially(): Promise<boolean> {
    return this.#corruption.initial();
  }

  /** Connects to the known members. */
  connect(): void {
    for (const { id, peerUrls } of this.#ports.remotes) this.transport.addRemote(id, peerUrls);
    this.#router.connectAll();
  }

  /** Starts raft and the periodic tasks. */
  start(): void {
    const { client, serverVersion, logger } = this.#ports;
    this.#periodicTasks = startPeriodicTasks({
      member: this.member,
      memberships: this.memberships,
      rejoins: this.rejoins,
      corruption: this.#corruption,
      peers: this.transport,
      client,
      serverVersion,
      logger,
      elect: () => this.#router.elect(),
    });
    this.#corruption.start();
    this.member.start();
  }

  /** As leader, transfers the leadership. Resolves when there is a new leader, or after an election timeout. */
  transferLeadership(): Promise<void> {
    return transferLeadership(
      this.member,
      this.transport,
      this.#ports.logger('server/leadership-transfer.ts'),
    );
  }

  stopPeriodicTasks(): void {
    if (this.#periodicTasks !== undefined) stopPeriodicTasks(this.#periodicTasks);
  }

  /** Stops everything except the storage. */
  stop(): void {
    this.stopPeriodicTasks();
    this.pump.stop();
    this.usage?.stop();
    this.member.stop();
    this.transport.stop();
  }
}

/** Renews leases at another member that leads. */
function leaderLeases(member: Member, client: PeerClient): LeaderLeases {
  const { requestTimeoutMs, electionTimeoutMs } = member.config;
  // After about two election timeouts there may be a new leader, which can answer instead of one that hangs.
  const timeoutMs = Math.min(requestTimeoutMs, 2 * electionTimeoutMs);
  const leaderUrls = (): readonly string[] => member.cluster.member(member.consensus.lead)?.peerUrls ?? [];
  return {
    renew: (id) => client.renewLease(leaderUrls(), id, timeoutMs),
    timeToLive: (id, withKeys) => client.leaseTimeToLive(leaderUrls(), id, withKeys, timeoutMs),
  };
}
