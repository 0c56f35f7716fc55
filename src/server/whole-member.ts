import type { Cluster } from '../membership/cluster.ts';
import type { PeerAnswers, PeerClient } from '../ports/peer-client.ts';
import type { PeerTransport, PeerTransportHandler, SnapshotPart } from '../ports/peer-transport.ts';
import type { ExportSnapshot } from '../ports/snapshot.ts';
import { assert } from '../lib/assert.ts';
import { CorruptionChecker } from './corruption-checker.ts';
import { Downgrades } from './downgrades.ts';
import { handOver } from './hand-over.ts';
import type { Founding } from './identity.ts';
import { type LeaderLeases, Leases } from './leases.ts';
import { Member } from './member.ts';
import { observeMember } from './member-metrics.ts';
import type { MemberOptions } from './member-options.ts';
import { Memberships } from './memberships.ts';
import { peerAnswers } from './peer-answers.ts';
import { PeerRouter } from './peer-router.ts';
import { startUpkeep, stopUpkeep, type Upkeep } from './upkeep.ts';
import { WatchPump } from './watch-pump.ts';

/** How a member's store goes to other members as a snapshot, and how theirs come in. */
export interface SnapshotPorts {
  readonly export: ExportSnapshot;
  /** The membership as a snapshot's `data`. */
  readonly membershipData: (cluster: Cluster) => Buffer;
  /** Takes in a snapshot's database; resolves when it is a complete store, ready to take the place of this one. */
  readonly receive: (chunks: AsyncIterable<Buffer>, index: number, part: SnapshotPart) => Promise<void>;
  /** Bytes of a snapshot's file that came in before its transfer broke off. */
  readonly kept: (id: string) => number;
}

/** The ways to other members. */
export interface PeerPorts {
  readonly client: PeerClient;
  readonly openTransport: (handler: PeerTransportHandler) => PeerTransport;
  readonly snapshots: SnapshotPorts;
  /** Called once when the cluster has removed this member. */
  readonly removed: () => void;
}

/** Everything that a member needs of the machine it runs on, or of the simulation of one. */
export interface MemberPorts extends Omit<MemberOptions, 'send'>, PeerPorts {
  /** Members of the cluster that this one joins, which its own log does not name yet. */
  readonly remotes: Founding['remotes'];
  /** The release that this member answers as. */
  readonly serverVersion: string;
}

/**
 * A whole member: its state, consensus, periodic work, the connections with other members and the delivery of watch
 * events. The server, the simulation and the tests all run this, each with its own ports.
 *
 * It is started in steps, as a server has things to do in between: `checkInitially`, `connect`, `start`.
 */
export class WholeMember {
  readonly member: Member;
  readonly memberships: Memberships;
  readonly leases: Leases;
  readonly downgrades: Downgrades;
  /** What other members may ask of this one. */
  readonly answers: PeerAnswers;
  readonly pump: WatchPump;
  readonly #ports: MemberPorts;
  readonly #router: PeerRouter;
  readonly #corruption: CorruptionChecker;
  #upkeep: Upkeep | undefined;

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
      ...{ member, client, peers: this.transport, logger: logger('server/memberships.ts') },
    });
    this.leases = new Leases(member, leaderLeases(member, client));
    this.downgrades = new Downgrades(member);
    this.answers = peerAnswers(this);
    this.pump = new WatchPump(member.hub, ports.scheduler);
  }

  get transport(): PeerTransport {
    return this.#router.transport;
  }

  /** The periodic work, once it is started. */
  get upkeep(): Upkeep {
    assert(this.#upkeep !== undefined, 'the periodic work of a member begins with its start');
    return this.#upkeep;
  }

  /** Before anyone is served. @returns false where this member's data differs from that of the others */
  checkInitially(): Promise<boolean> {
    return this.#corruption.initial();
  }

  /** Connects to the members that are known. */
  connect(): void {
    for (const { id, peerUrls } of this.#ports.remotes) this.transport.addRemote(id, peerUrls);
    this.#router.connectAll();
  }

  /** Takes part in the cluster from now on. */
  start(): void {
    const { client, serverVersion, logger } = this.#ports;
    this.#upkeep = startUpkeep({
      ...{ member: this.member, memberships: this.memberships, corruption: this.#corruption },
      ...{ peers: this.transport, client, serverVersion, logger },
      elect: () => this.#router.elect(),
    });
    this.#corruption.start();
    this.member.start();
  }

  /** As leader, has another voter take over; resolves when one has, or after an election timeout. */
  handOver(): Promise<void> {
    return handOver(this.member, this.transport, this.#ports.logger('server/hand-over.ts'));
  }

  stopUpkeep(): void {
    if (this.#upkeep !== undefined) stopUpkeep(this.#upkeep);
  }

  /** Ends everything but the storage. */
  stop(): void {
    this.stopUpkeep();
    this.pump.stop();
    this.member.stop();
    this.transport.stop();
  }
}

/** How leases are renewed where another member leads. */
function leaderLeases(member: Member, client: PeerClient): LeaderLeases {
  const { requestTimeoutMs, electionTimeoutMs } = member.config;
  // After about two election timeouts there may be another leader, which can be asked instead of one that hangs.
  const timeoutMs = Math.min(requestTimeoutMs, 2 * electionTimeoutMs);
  const leaderUrls = (): readonly string[] => member.cluster.member(member.consensus.lead)?.peerUrls ?? [];
  return {
    renew: (id) => client.renewLease(leaderUrls(), id, timeoutMs),
    timeToLive: (id, withKeys) => client.leaseTimeToLive(leaderUrls(), id, withKeys, timeoutMs),
  };
}
