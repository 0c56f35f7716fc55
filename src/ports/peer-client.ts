import type { MemberFields } from '../wire/member-json.ts';

/** A member as the peer HTTP interface returns it. */
export type RemoteMember = MemberFields;

export interface RemoteCluster {
  readonly clusterId: bigint;
  readonly members: readonly RemoteMember[];
}

export interface RemoteVersions {
  readonly server: string;
  /** `not_decided` until the cluster has a version. */
  readonly cluster: string;
  /** `unknown` until the store has a version; empty from releases that do not report it. */
  readonly storage: string;
}

/** What a process says about itself. */
export interface ProcessStatus {
  /** The release of Keystead. */
  readonly version: string;
  readonly uptimeSeconds: number;
}

/** What a member says about itself, for the status page of another member. */
export interface RemoteStatus extends ProcessStatus {
  readonly term: number;
  /** The leader that it knows; 0 for none. */
  readonly lead: bigint;
  readonly committed: number;
  readonly applied: number;
  readonly revision: number;
  /** Bytes that count against the quota. */
  readonly storeBytes: number;
  /** On the leader: up to which entry the log of each member is known to equal its own. */
  readonly matches: ReadonlyMap<bigint, number>;
  /**
   * The counts of backups by their names in the code (`BackupCounts` of the metrics). Undefined on members that take
   * none; only the leader takes backups.
   */
  readonly backup: Readonly<Record<string, number>> | undefined;
}

export interface RemoteHash {
  readonly hash: number;
  /** Current revision of the member. */
  readonly revision: number;
  readonly hashRevision: number;
  readonly compactRevision: number;
}

export interface RemoteLease {
  /** Seconds. */
  readonly ttl: number;
  readonly grantedTtl: number;
  readonly keys: readonly Buffer[];
}

/**
 * Requests to other members, besides raft messages. `urls` are peer URLs of one member, tried one after the other,
 * unless stated otherwise. Each call rejects within `timeoutMs`: with an EtcdError of `errors` if the response means
 * one, and with PeerRequestError if the request failed or the response is invalid.
 */
export interface PeerClient {
  /** The members of a running cluster. `urls` may belong to several members. */
  cluster(urls: readonly string[], timeoutMs: number): Promise<RemoteCluster>;
  versions(urls: readonly string[], timeoutMs: number): Promise<RemoteVersions>;
  /** Resolves to undefined for members of etcd, which have no such request. */
  status(urls: readonly string[], timeoutMs: number): Promise<RemoteStatus | undefined>;
  /** Whether a downgrade of the cluster is in progress. */
  downgradeEnabled(urls: readonly string[], timeoutMs: number): Promise<boolean>;
  /** Asks the leader to promote a learner. `token` is the client's token, if it has one. */
  promote(
    urls: readonly string[],
    id: bigint,
    token: string | undefined,
    timeoutMs: number,
  ): Promise<readonly RemoteMember[]>;
  /**
   * Asks for a new id for a member that has lost its data. `urls` belong to several members; only the leader grants it.
   * Resolves to the new id. Rejects with the leader's EtcdError if it refuses.
   */
  rejoin(urls: readonly string[], request: RemoteRejoin, timeoutMs: number): Promise<bigint>;
  /** Asks the leader to renew a lease. Resolves to its new TTL in seconds. */
  renewLease(urls: readonly string[], lease: bigint, timeoutMs: number): Promise<number>;
  leaseTimeToLive(
    urls: readonly string[],
    lease: bigint,
    withKeys: boolean,
    timeoutMs: number,
  ): Promise<RemoteLease>;
  /** Hash of the member's store at `revision`; 0 is its current revision. */
  hashKv(
    urls: readonly string[],
    clusterId: bigint,
    revision: number,
    timeoutMs: number,
  ): Promise<RemoteHash>;
  close(): void;
}

/** A member that has lost its data, as it was in the cluster. */
export interface RemoteRejoin {
  readonly clusterId: bigint;
  readonly id: bigint;
  readonly peerUrls: readonly string[];
}

/** The request to a member failed, or its response is invalid. */
export class PeerRequestError extends Error {
  override readonly name = 'PeerRequestError';

  /** Whether nothing runs at the address: its host refused the connection, or it has no name. */
  get isNotRunning(): boolean {
    const { cause } = this;
    return cause instanceof Error && 'code' in cause && NOT_RUNNING.has(cause.code);
  }
}

const NOT_RUNNING: ReadonlySet<unknown> = new Set(['ECONNREFUSED', 'ENOTFOUND']);

/** Why a request about a lease is refused. */
export type LeaseRefusal =
  | 'not-found'
  /** This member is not the leader, or has stopped being it. */
  | 'not-primary'
  /** This member has not applied in time all that was committed when it was asked. */
  | 'behind';

/** Serves the requests of other members. Rejects with EtcdError. */
export interface PeerService {
  readonly clusterId: bigint;
  /** Ordered by id. */
  members(): readonly RemoteMember[];
  versions(): { readonly cluster: string; readonly storage: string };
  /** Promotes a learner, if this member leads. `token` is the client's token. */
  promote(id: bigint, token: string | undefined): Promise<readonly RemoteMember[]>;
  /** Replaces a member that has lost its data, if this member leads. Resolves to the new id. */
  rejoin(id: bigint, peerUrls: readonly string[]): Promise<bigint>;
  renewLease(id: bigint): Promise<number | LeaseRefusal>;
  leaseTimeToLive(id: bigint, withKeys: boolean): Promise<RemoteLease | LeaseRefusal>;
  hashKv(revision: number): Promise<RemoteHash>;
  /** Waits for a linearizable read first. */
  downgradeEnabled(): Promise<boolean>;
}
