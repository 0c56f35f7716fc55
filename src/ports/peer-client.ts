/** A member as the cluster's own HTTP interface shows it. */
export interface RemoteMember {
  readonly id: bigint;
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly clientUrls: readonly string[];
  readonly isLearner: boolean;
}

export interface RemoteCluster {
  readonly clusterId: bigint;
  readonly members: readonly RemoteMember[];
}

export interface RemoteVersions {
  readonly server: string;
  /** `not_decided` until the cluster has one. */
  readonly cluster: string;
  /** `unknown` until the store has one; empty from releases that do not say. */
  readonly storage: string;
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
 * Questions to other members, beside raft. `urls` are peer URLs of one member, tried in turn, unless said otherwise.
 * Each rejects within `timeoutMs`: with an EtcdError of `errors` where the other side's answer means one, with
 * PeerRequestError where it could not be asked or understood.
 */
export interface PeerClient {
  /** Asks any member of a running cluster; `urls` may be of several members. */
  cluster(urls: readonly string[], timeoutMs: number): Promise<RemoteCluster>;
  versions(urls: readonly string[], timeoutMs: number): Promise<RemoteVersions>;
  /** Whether a downgrade of the cluster is under way. */
  downgradeEnabled(urls: readonly string[], timeoutMs: number): Promise<boolean>;
  /** Has the leader promote a learner. `token` is the client's, where it has one. */
  promote(
    urls: readonly string[],
    id: bigint,
    token: string | undefined,
    timeoutMs: number,
  ): Promise<readonly RemoteMember[]>;
  /** Has the leader renew a lease; resolves to its new time to live in seconds. */
  renewLease(urls: readonly string[], lease: bigint, timeoutMs: number): Promise<number>;
  leaseTimeToLive(
    urls: readonly string[],
    lease: bigint,
    withKeys: boolean,
    timeoutMs: number,
  ): Promise<RemoteLease>;
  /** Hash of the member's store at `revision`, or at its current one for 0. */
  hashKv(
    urls: readonly string[],
    clusterId: bigint,
    revision: number,
    timeoutMs: number,
  ): Promise<RemoteHash>;
  close(): void;
}

/** A member could not be asked, or its answer could not be understood. */
export class PeerRequestError extends Error {
  override readonly name = 'PeerRequestError';
}

/** Why a question about a lease has no answer. */
export type LeaseRefusal =
  | 'not-found'
  /** This member is not the leader, or has stopped being it. */
  | 'not-primary'
  /** This member has not applied in time all that was committed when it was asked. */
  | 'behind';

/** What a member answers to the other members' questions. Rejects with EtcdError. */
export interface PeerAnswers {
  readonly clusterId: bigint;
  /** In the order of their ids. */
  members(): readonly RemoteMember[];
  versions(): { readonly cluster: string; readonly storage: string };
  /** Promotes a learner as the leader; `token` is the client's. */
  promote(id: bigint, token: string | undefined): Promise<readonly RemoteMember[]>;
  renewLease(id: bigint): Promise<number | LeaseRefusal>;
  leaseTimeToLive(id: bigint, withKeys: boolean): Promise<RemoteLease | LeaseRefusal>;
  hashKv(revision: number): Promise<RemoteHash>;
  /** As of a linearizable read. */
  downgradeEnabled(): Promise<boolean>;
}
