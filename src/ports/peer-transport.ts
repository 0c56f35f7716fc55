import type { Message } from '../wire/gen/raftpb.ts';

/** A database file to send to a member that is too far behind for the log. */
export interface OutgoingSnapshot {
  /** Total bytes of `chunks`. */
  readonly totalBytes: number;
  /** Read only as fast as the member receives them, and closed early if the transfer fails. */
  readonly chunks: AsyncIterable<Buffer>;
  /** Set if an interrupted transfer can be resumed. */
  readonly resumption?: SnapshotResumption;
}

export interface SnapshotResumption {
  /** A unique name of the file. */
  readonly id: string;
  /**
   * Whether an earlier transfer of the file was interrupted. The member is then asked first how much it has received.
   */
  readonly isBroken: boolean;
  /** Like `chunks`, but from an offset of the file. Used instead of `chunks`. */
  from(offset: number): AsyncIterable<Buffer>;
}

/** The part of a file that is received. */
export interface SnapshotPart {
  /** The sender's name of the file; undefined if the sender cannot resume an interrupted transfer. */
  readonly id: string | undefined;
  /** Offset of the first received byte in the file. */
  readonly offset: number;
}

/**
 * The callbacks of the transport. None is called from within a call into the transport, so all of them may step raft.
 */
export interface PeerTransportHandler {
  /**
   * Messages for this member, in the order of their stream. The callee may keep them and their entries.
   *
   * @returns why one of them was refused; it and those after it were not taken, and their stream must end
   */
  onMessages(messages: readonly Message[]): string | undefined;
  /**
   * Whether many received entries still wait for the disk. The transport then reads further appends later, so that the
   * processor is free to write and apply those that have arrived.
   */
  isLogBehind(): boolean;
  /** Whether the member was removed from the cluster. It then gets that as the response, and cannot connect. */
  isIdRemoved(id: bigint): boolean;
  /** Messages to `id` were lost. */
  reportUnreachable(id: bigint): void;
  /** Reports whether `id` has saved the snapshot passed to `sendSnapshot`. */
  reportSnapshot(id: bigint, ok: boolean): void;
  /**
   * Receives a snapshot: `message` is the leader's MsgSnap, `chunks` the database file. Resolves when the file is on
   * disk and raft has got the message. If it rejects, the leader tries again.
   */
  onSnapshot(message: Message, chunks: AsyncIterable<Buffer>, part: SnapshotPart): Promise<void>;
  /** Bytes of a file that are kept from an interrupted transfer. */
  keptOfSnapshot(id: string): number;
  /**
   * All connections with `id` have ended, the last one closed by the other side, and new ones are refused or not
   * answered: its process is most likely gone, so a follower that had it as leader need not wait for the election
   * timeout.
   */
  onPeerGone(id: bigint): void;
  /** Another member reports that this one was removed from the cluster. It must stop. */
  onRemoved(): void;
}

/** Traffic with one member since the start, in the units of etcd's metrics. */
export interface PeerCounts {
  readonly id: bigint;
  /** At least one connection works. */
  readonly isActive: boolean;
  /** Number of times that all connections were lost. */
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

/** Receives the durations that the transport measures, in seconds. */
export interface PeerObserver {
  /** Smoothed round-trip time to the member. */
  roundTrip(id: bigint, seconds: number): void;
  snapshotSent(id: bigint, seconds: number): void;
  snapshotReceived(id: bigint, seconds: number): void;
}

/**
 * Sends messages to the other members. No call waits, and messages may be lost. Known losses are reported to the
 * handler, and raft sends again.
 */
export interface PeerTransport {
  /**
   * Connects to a member, and reconnects after failures. Does nothing for a known member. @throws TypeError for invalid
   * URLs
   */
  addPeer(id: bigint, urls: readonly string[]): void;
  /** Adds a member that is not in this member's configuration yet, so that it can be answered. */
  addRemote(id: bigint, urls: readonly string[]): void;
  updatePeer(id: bigint, urls: readonly string[]): void;
  removePeer(id: bigint): void;
  removeAllPeers(): void;
  /**
   * Sends each message to its `to`. Messages to unknown members are dropped. The messages of one call are sent in one
   * write.
   */
  send(messages: readonly Message[]): void;
  /** Sends a MsgSnap with its database file. `reportSnapshot` reports the result exactly once. */
  sendSnapshot(message: Message, snapshot: OutgoingSnapshot): void;
  /** Time since which a connection with the member works, by the given clock; undefined if none works. */
  activeSince(id: bigint): number | undefined;
  /** Smoothed round trip to the member in milliseconds; undefined while none was measured. */
  roundTripMs(id: bigint): number | undefined;
  /** Number of members with a working connection. */
  activePeers(): number;
  counts(): Iterable<PeerCounts>;
  /** Closes all connections. Later calls do nothing. */
  stop(): void;
}
