import type { Message } from '../wire/gen/raftpb.ts';

/** A database file on its way to a member that has fallen too far behind for the log. */
export interface OutgoingSnapshot {
  /** Bytes that `chunks` gives in all. */
  readonly totalBytes: number;
  /** Read no faster than the member takes them, and closed early when the transfer fails. */
  readonly chunks: AsyncIterable<Buffer>;
  /** Given where a transfer that breaks off can be gone on with. */
  readonly resumption?: SnapshotResumption;
}

export interface SnapshotResumption {
  /** No other file has this name. */
  readonly id: string;
  /** A transfer of it broke off before: the member is asked first how much of it has arrived. */
  readonly isBroken: boolean;
  /** Like `chunks`, from a place of the file on; read in place of them. */
  from(offset: number): AsyncIterable<Buffer>;
}

/** What part of which file comes in. */
export interface SnapshotPart {
  /** As its sender named it; undefined where it cannot go on with a transfer that breaks off. */
  readonly id: string | undefined;
  /** Bytes of the file before those that come. */
  readonly offset: number;
}

/**
 * What the transport tells the member. No method is called from within a call into the transport, so that all of
 * them may step raft.
 */
export interface PeerTransportHandler {
  /** Messages for this member, in the order of their stream. They and their entries may be kept. */
  onMessages(messages: readonly Message[]): void;
  /** Whether the member was in the cluster once and is not any more: it is told so and cannot connect. */
  isIdRemoved(id: bigint): boolean;
  /** Messages to `id` were lost. */
  reportUnreachable(id: bigint): void;
  /** A snapshot handed to `sendSnapshot` has been saved by `id`, or has not. */
  reportSnapshot(id: bigint, ok: boolean): void;
  /**
   * A snapshot comes in: `message` is the leader's MsgSnap, `chunks` the database file. Resolves when the file is
   * safe and raft has been given the message; when it rejects, the leader will try again.
   */
  onSnapshot(message: Message, chunks: AsyncIterable<Buffer>, part: SnapshotPart): Promise<void>;
  /** Bytes of a file that were received before its transfer broke off, and are kept. */
  keptOfSnapshot(id: string): number;
  /**
   * All connections with `id` have ended, the last ones closed by the other side: its process is most likely
   * gone, so a follower that had it as leader need not wait for the election timeout.
   */
  onConnectionClosed(id: bigint): void;
  /** Another member says that this one has been removed from the cluster: it has to stop. */
  onRemoved(): void;
}

/** Traffic with one member since the start, under no name of etcd's metrics but in their units. */
export interface PeerCounts {
  readonly id: bigint;
  /** At least one connection works. */
  readonly isActive: boolean;
  /** Times that it stopped working. */
  readonly disconnects: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly sentFailures: number;
  readonly receivedFailures: number;
  readonly snapshotsSent: number;
  readonly snapshotsSending: number;
  readonly snapshotSendFailures: number;
  readonly snapshotsReceived: number;
  readonly snapshotsReceiving: number;
  readonly snapshotReceiveFailures: number;
}

/** Durations that the transport measures, in seconds. */
export interface PeerObserver {
  /** Smoothed round trip to the member. */
  roundTrip(id: bigint, seconds: number): void;
  snapshotSent(id: bigint, seconds: number): void;
  snapshotReceived(id: bigint, seconds: number): void;
}

/**
 * The way to the other members. Nothing here waits and nothing is promised to arrive: what is known to be lost is
 * reported to the handler, and raft sends again.
 */
export interface PeerTransport {
  /** Connects to a member and keeps connected. Does nothing for one that is known. @throws TypeError for bad URLs */
  addPeer(id: bigint, urls: readonly string[]): void;
  /** A member this one does not know of yet, but that may have to be answered until it does. */
  addRemote(id: bigint, urls: readonly string[]): void;
  updatePeer(id: bigint, urls: readonly string[]): void;
  removePeer(id: bigint): void;
  removeAllPeers(): void;
  /** Sends each message to its `to`; those to strangers are dropped. Messages of one call leave in one write. */
  send(messages: readonly Message[]): void;
  /** Sends a MsgSnap along with its database file; its end is told by `reportSnapshot`, exactly once. */
  sendSnapshot(message: Message, snapshot: OutgoingSnapshot): void;
  /** Since when a connection with the member works, on the clock handed in; undefined while none does. */
  activeSince(id: bigint): number | undefined;
  /** Members that a connection works with. */
  activePeers(): number;
  counts(): Iterable<PeerCounts>;
  /** Ends all connections; later calls do nothing. */
  stop(): void;
}
