import type { ConfChangeResult } from '../apply/apply-listener.ts';
import { hex } from '../lib/text.ts';
import type { ClusterMember } from '../membership/member.ts';
import type { Logger } from '../ports/logger.ts';
import type { PeerTransport, PeerTransportHandler, SnapshotPart } from '../ports/peer-transport.ts';
import type { ExportSnapshot } from '../ports/snapshot.ts';
import { type Message, MessageType, None, Role } from '../raft/types.ts';
import { EarlyElection } from './early-election.ts';
import { HeldCommits } from './held-commits.ts';
import type { Member } from './member.ts';
import { messageFault } from './message-fault.ts';
import { OutgoingSnapshots } from './outgoing-snapshots.ts';

/**
 * More received entries than this do not wait for the disk: two writes of the largest size, so that one is encoded while
 * the other is written.
 */
const MAX_UNWRITTEN_BYTES = 8 << 20;

export interface PeerRouterOptions {
  readonly member: Member;
  /** Called once, by the constructor. The transport must not call its handler during this call. */
  readonly openTransport: (handler: PeerTransportHandler) => PeerTransport;
  readonly exportSnapshot: ExportSnapshot;
  /** Encodes the membership for the `data` field of a snapshot. */
  readonly membershipData: () => Buffer;
  /** Receives the database of a snapshot. Resolves when it is a complete store that can replace the present one. */
  readonly receiveSnapshot: (
    chunks: AsyncIterable<Buffer>,
    index: number,
    part: SnapshotPart,
  ) => Promise<void>;
  /** Number of bytes of a snapshot that were received before its transfer failed. */
  readonly keptOfSnapshot: (id: string) => number;
  /** Called when this member was removed from the cluster. */
  readonly removed: () => void;
  readonly logger: Logger;
}

/** Passes raft messages and snapshots between the member and its transport, and updates the peers of the transport. */
export class PeerRouter implements PeerTransportHandler {
  readonly #options: PeerRouterOptions;
  readonly #heldCommits: HeldCommits;
  readonly #snapshots: OutgoingSnapshots;
  readonly #election: EarlyElection;
  readonly transport: PeerTransport;
  #receiving = false;
  #isRemoved = false;

  constructor(options: PeerRouterOptions) {
    this.#options = options;
    const { member } = options;
    const transport = options.openTransport(this);
    this.transport = transport;
    this.#heldCommits = new HeldCommits({
      scheduler: member.scheduler,
      now: () => member.clock.now(),
      send: (messages) => transport.send(messages),
    });
    this.#snapshots = new OutgoingSnapshots({ ...options, transport });
    this.#election = new EarlyElection(member, transport);
    member.confChanges.onApplied((result) => this.#confChanged(result));
    member.onInstalled(() => this.connectAll());
  }

  /** Connects to all known members of the cluster and disconnects from removed ones. */
  connectAll(): void {
    const { transport } = this;
    const { member } = this.#options;
    for (const id of member.cluster.removedIds()) transport.removePeer(id);
    for (const each of member.cluster.members()) this.#connect(each);
    if (member.cluster.isRemoved(member.identity.memberId)) this.onRemoved();
  }

  send(messages: readonly Message[]): void {
    const { transport } = this;
    const { member } = this.#options;
    const outgoing: Message[] = [];
    let hasAppendResponse = false;
    // Of several acknowledgements in one batch only the last is needed.
    for (let at = messages.length - 1; at >= 0; at -= 1) {
      const message = messages[at];
      if (message === undefined || member.cluster.isRemoved(message.to)) continue;
      if (message.type === MessageType.MsgAppResp) {
        if (hasAppendResponse && !message.reject) continue;
        hasAppendResponse = true;
      }
      if (isGrantedVote(message)) this.#election.voted();
      if (message.type === MessageType.MsgSnap) this.#snapshots.send(message);
      else outgoing.push(message);
    }
    const ready = outgoing.reverse().filter((message) => !this.#heldCommits.hold(message));
    if (ready.length > 0) transport.send(ready);
  }

  onMessages(messages: readonly Message[]): string | undefined {
    const { member, logger } = this.#options;
    for (const message of messages) {
      if (member.cluster.isRemoved(message.from)) {
        logger.warn('rejected Raft message from removed member', {
          'removed-member-id': hex(message.from),
        });
        continue;
      }
      const fault = messageFault(member.consensusInput, message);
      if (fault !== undefined) {
        logger.warn('rejected a raft message', { 'remote-peer-id': hex(message.from), reason: fault });
        return fault;
      }
      if (message.type === MessageType.MsgProp) this.#heldCommits.forwarded(message.from);
      member.consensusInput.step(message);
    }
    return undefined;
  }

  isLogBehind(): boolean {
    return this.#options.member.consensusInput.unwrittenBytes > MAX_UNWRITTEN_BYTES;
  }

  isIdRemoved(id: bigint): boolean {
    return this.#options.member.cluster.isRemoved(id);
  }

  reportUnreachable(id: bigint): void {
    this.#options.member.consensusInput.reportUnreachable(id);
  }

  reportSnapshot(id: bigint, ok: boolean): void {
    this.#snapshots.reported(id, ok);
  }

  async onSnapshot(message: Message, chunks: AsyncIterable<Buffer>, part: SnapshotPart): Promise<void> {
    const { member, receiveSnapshot } = this.#options;
    const index = message.snapshot?.metadata?.index ?? 0;
    this.#refuseFaulty(message);
    if (this.#receiving) throw new Error('another snapshot is being received');
    if (index <= member.applied.index) throw new Error('the snapshot is older than what is applied');
    this.#receiving = true;
    try {
      await receiveSnapshot(chunks, index, part);
      this.#refuseFaulty(message);
      member.consensusInput.step(message);
    } finally {
      this.#receiving = false;
    }
  }

  #refuseFaulty(message: Message): void {
    const fault = messageFault(this.#options.member.consensusInput, message);
    if (fault !== undefined) throw new Error(fault);
  }

  keptOfSnapshot(id: string): number {
    return this.#options.keptOfSnapshot(id);
  }

  /**
   * Called when the leader's process is most likely gone. Instead of waiting for the election timeout, the followers
   * forget the leader, so that they grant pre-votes, and campaign one after the other. A leader that is still alive
   * keeps its leadership: its next heartbeat stops the election, and members that still hear it refuse the pre-vote.
   * Without pre-vote a campaign would depose it.
   */
  onPeerGone(id: bigint): void {
    const { member, logger } = this.#options;
    const { consensusInput } = member;
    if (!member.config.preVote || id !== consensusInput.lead || consensusInput.role === Role.Leader) return;
    logger.info('the leader is gone', { leader: hex(id) });
    consensusInput.forgetLeader();
    member.leaderGone();
    this.#election.begin(id);
  }

  /** Campaigns in turn with the other voters, when none of them knows a leader. */
  elect(): void {
    this.#election.begin(None);
  }

  onRemoved(): void {
    if (this.#isRemoved) return;
    this.#isRemoved = true;
    const { logger, removed, member } = this.#options;
    logger.error('the local member has been permanently removed from the cluster', {
      'local-member-id': member.memberIdText,
    });
    removed();
  }

  #connect({ id, peerUrls }: ClusterMember): void {
    const { transport } = this;
    const { member } = this.#options;
    if (id === member.identity.memberId) return;
    transport.addPeer(id, peerUrls);
    transport.updatePeer(id, peerUrls);
  }

  #confChanged({ error, change }: ConfChangeResult): void {
    if (error !== undefined || change === undefined) return;
    const { transport } = this;
    const { member } = this.#options;
    const isLocal = change.id === member.identity.memberId;
    switch (change.kind) {
      case 'added':
        if (!isLocal) transport.addPeer(change.id, change.peerUrls);
        return;
      case 'updated':
        if (!isLocal) transport.updatePeer(change.id, change.peerUrls);
        return;
      case 'promoted':
        return;
      case 'removed':
        // Before that, this member sends the messages that tell the others.
        if (isLocal) member.scheduler.after(member.config.electionTimeoutMs, () => this.onRemoved());
        else transport.removePeer(change.id);
    }
  }
}

function isGrantedVote({ type, reject }: Message): boolean {
  return (type === MessageType.MsgVoteResp || type === MessageType.MsgPreVoteResp) && !reject;
}
