import { InvariantError, assert } from '../lib/assert.ts';
import { hex } from '../lib/text.ts';
import type { Logger } from '../ports/logger.ts';
import { stepCandidate } from './candidate.ts';
import { resolveConfig } from './config.ts';
import type { RaftConfig, ResolvedConfig } from './config.ts';
import { restoreMembership } from './confchange/restore.ts';
import { confChangeEntry } from './confchange/conf-change.ts';
import { describeMessageType } from './describe.ts';
import { handleVoteRequest, isLeaseInForce, logIgnoredVoteRequest, rejectStalePreVote } from './votes.ts';
import { CampaignType, startElection } from './election.ts';
import { entriesSize, payloadsSize } from './entry-size.ts';
import { stepFollower } from './follower.ts';
import { stepLeader, tickLeader } from './leader.ts';
import { RaftLog } from './log.ts';
import { assertEquivalent, switchToConfig } from './membership.ts';
import { ReadOnly } from './read-only.ts';
import { Inflights } from './tracker/inflights.ts';
import { Progress } from './tracker/progress.ts';
import { ProgressTracker, describeConfig } from './tracker/tracker.ts';
import { sortedIds } from './quorum/majority.ts';
import { jointIds } from './quorum/joint.ts';
import { MessageType, None, Role, isEmptyHardState, newMessage, snapshotIndex } from './types.ts';
import type { Entry, HardState, Message, ReadState, Snapshot, SoftState, StepError } from './types.ts';

/** An election takes two round trips, and a heartbeat interval is about one, as etcd advises. */
const ELECTION_STEP_TICKS = 2;

/**
 * One node of the Raft algorithm (Ongaro, "Consensus: Bridging Theory and Practice", called "the thesis" here):
 * messages and ticks in, messages and log changes out. This class holds the state and what all roles share;
 * what a role does with a message is in `follower.ts`, `candidate.ts` and `leader.ts`.
 *
 * Behaviour, message for message and log line for log line, is that of go.etcd.io/raft v3.7, so that nodes of
 * both kinds can form one group.
 */
export class Raft {
  readonly id: bigint;
  readonly config: ResolvedConfig;
  readonly logger: Logger;
  readonly log: RaftLog;
  readonly tracker: ProgressTracker;

  term = 0;
  vote = None;
  role: Role = Role.Follower;
  lead = None;
  isLearner = false;

  /** To be sent at once. */
  messages: Message[] = [];
  /** To be sent once everything now in the unstable log, and the term and vote, are durable. */
  messagesAfterAppend: Message[] = [];
  readStates: ReadState[] = [];

  /** The target of a running leader transfer (thesis, 3.10). */
  leadTransferee = None;
  /**
   * A leader proposes a configuration change only once this index is applied: it is not below that of the last
   * change in the log, so that at most one is pending.
   */
  pendingConfIndex = 0;
  /** Payload in the log and not known to be applied, as far as the leader has counted it. */
  uncommittedSize = 0;
  readOnly: ReadOnly;
  /** Read requests from before this leader committed an entry of its term. */
  pendingReadIndex: Message[] = [];

  /** Ticks since the last message of the leader; on a leader, since its last quorum check. */
  electionElapsed = 0;
  heartbeatElapsed = 0;
  /** In [electionTick, 2 * electionTick), chosen randomly at each change of role. */
  randomizedElectionTimeout = 0;

  /** @throws RangeError for a setting out of its range, ConfChangeError for a stored configuration that is invalid */
  constructor(given: RaftConfig) {
    const config = resolveConfig(given);
    this.config = config;
    this.id = config.id;
    this.logger = config.logger;
    this.readOnly = new ReadOnly(config.readOnlyOption);
    this.log = new RaftLog(config.storage, config.logger, config.maxCommittedSizePerReady);
    this.tracker = new ProgressTracker(config.maxInflightMessages, config.maxInflightBytes);

    const { hardState, confState } = config.storage.initialState();
    const last = this.log.lastEntryId();
    const membership = restoreMembership(confState, this.changerLimits());
    assertEquivalent(confState, switchToConfig(this, membership));
    if (!isEmptyHardState(hardState)) this.#loadState(hardState);
    if (config.applied > 0) this.log.appliedTo(config.applied, 0);
    this.becomeFollower(this.term, None);
    const peers = sortedIds(jointIds(this.tracker.config.voters)).map(hex).join(',');
    this.logger.info(
      `newRaft ${hex(this.id)} [peers: [${peers}], term: ${this.term}, commit: ${this.log.committed}, ` +
        `applied: ${this.log.applied}, lastindex: ${last.index}, lastterm: ${last.term}]`,
    );
  }

  changerLimits(): { lastIndex: number; maxInflight: number; maxInflightBytes: number } {
    const { maxInflight, maxInflightBytes } = this.tracker;
    return { lastIndex: this.log.lastIndex(), maxInflight, maxInflightBytes };
  }

  softState(): SoftState {
    return { lead: this.lead, role: this.role };
  }

  hardState(): HardState {
    return { term: this.term, vote: this.vote, commit: this.log.committed };
  }

  #loadState({ term, vote, commit }: HardState): void {
    if (commit < this.log.committed || commit > this.log.lastIndex()) {
      throw new InvariantError(
        `${hex(this.id)} state.commit ${commit} is out of range [${this.log.committed}, ${this.log.lastIndex()}]`,
      );
    }
    this.log.committed = commit;
    this.term = term;
    this.vote = vote;
  }

  /**
   * Queues a message. Votes and append acknowledgements, including rejections, must survive a crash, so they wait until
   * the state behind them is durable (thesis, 3.8). All other messages may be sent at once.
   */
  send(message: Message): void {
    if (message.from === None) message.from = this.id;
    switch (message.type) {
      case MessageType.MsgVote:
      case MessageType.MsgPreVote:
        assert(message.term !== 0, 'an election message carries the term of the election');
        break;
      case MessageType.MsgVoteResp:
      case MessageType.MsgPreVoteResp:
        assert(message.term !== 0, 'an election message carries the term of the election');
        this.messagesAfterAppend.push(message);
        return;
      case MessageType.MsgAppResp:
        message.term = this.term;
        this.messagesAfterAppend.push(message);
        return;
      // Forwarded to the leader as if they were local there, so they have no term that could make them stale.
      case MessageType.MsgProp:
      case MessageType.MsgReadIndex:
        message.term = 0;
        break;
      default:
        message.term = this.term;
    }
    assert(message.to !== this.id, 'only votes and append acknowledgements are sent to oneself');
    this.messages.push(message);
  }

  /** Forwards a message of the application to the leader. It is copied, since it may be in use elsewhere. */
  forward(message: Message): void {
    this.send({ ...message, to: this.lead });
  }

  tick(): void {
    if (this.role === Role.Leader) {
      tickLeader(this);
      return;
    }
    this.electionElapsed++;
    if (this.promotable() && this.electionElapsed >= this.#electionTimeout()) {
      this.electionElapsed = 0;
      this.hup();
    }
  }

  /**
   * Ticks without a leader after which this node campaigns. With ordered elections the voter with the lowest id is first,
   * one tick after the time for which voters refuse other candidates. The others follow in steps of an election, so that
   * they do not split the vote, and no random time is lost.
   */
  #electionTimeout(): number {
    const { preVote, orderedElections, electionTick } = this.config;
    if (!preVote || !orderedElections || this.role !== Role.Follower || this.lead === None)
      return this.randomizedElectionTimeout;
    let rank = 0;
    for (const id of jointIds(this.tracker.config.voters)) if (id < this.id && id !== this.lead) rank += 1;
    return Math.min(electionTick + 1 + ELECTION_STEP_TICKS * rank, 2 * electionTick - 1);
  }

  /** Campaigns as an election timeout would. */
  hup(): void {
    startElection(this, this.config.preVote ? CampaignType.PreElection : CampaignType.Election);
  }

  /** Whether this node may campaign: a voter that is not about to replace its state by a snapshot. */
  promotable(): boolean {
    const progress = this.tracker.progress.get(this.id);
    return progress !== undefined && !progress.isLearner && !this.log.hasNextOrInProgressSnapshot();
  }

  /** Handles one message. It is not changed, but it and its entries may be kept, so the caller must not change them. */
  step(message: Message): StepError | undefined {
    if (message.term > this.term) {
      if (!this.#acceptHigherTerm(message)) return undefined;
    } else if (message.term !== 0 && message.term < this.term) {
      this.#handleLowerTerm(message);
      return undefined;
    }
    switch (message.type) {
      case MessageType.MsgHup:
        this.hup();
        return undefined;
      case MessageType.MsgStorageAppendResp:
        if (message.index !== 0) this.log.unstable.stableTo(message.logTerm, message.index);
        if (message.snapshot !== undefined) this.#appliedSnapshot(message.snapshot);
        return undefined;
      case MessageType.MsgStorageApplyResp:
        this.#handleApplied(message.entries);
        return undefined;
      case MessageType.MsgVote:
      case MessageType.MsgPreVote:
        handleVoteRequest(this, message);
        return undefined;
      default:
        return this.#stepRole(message);
    }
  }

  #stepRole(message: Message): StepError | undefined {
    switch (this.role) {
      case Role.Leader:
        return stepLeader(this, message);
      case Role.Follower:
        return stepFollower(this, message);
      default:
        return stepCandidate(this, message);
    }
  }

  /** @returns false if the message must be ignored */
  #acceptHigherTerm(message: Message): boolean {
    const { type, from, term } = message;
    if (type === MessageType.MsgVote || type === MessageType.MsgPreVote) {
      // The leader was active within the election timeout: no election is needed (thesis, 4.2.3).
      if (isLeaseInForce(this, message)) {
        logIgnoredVoteRequest(this, message);
        return false;
      }
    }
    if (type === MessageType.MsgPreVote) return true; // Asks about a future term, without being in it.
    if (type === MessageType.MsgPreVoteResp && !message.reject) return true; // Echoes the term we asked about.
    this.logger.info(
      `${hex(this.id)} [term: ${this.term}] received a ${describeMessageType(type)} message with higher term ` +
        `from ${hex(from)} [term: ${term}]`,
    );
    const fromLeader =
      type === MessageType.MsgApp || type === MessageType.MsgHeartbeat || type === MessageType.MsgSnap;
    this.becomeFollower(term, fromLeader ? from : None);
    return true;
  }

  #handleLowerTerm(message: Message): void {
    const { type, from, term } = message;
    const { checkQuorum, preVote } = this.config;
    if ((checkQuorum || preVote) && (type === MessageType.MsgHeartbeat || type === MessageType.MsgApp)) {
      // A leader of an older term may never hear of our term otherwise, since our vote requests are ignored
      // under these options: our term in this answer makes it step down, and the group elects anew.
      this.send(newMessage(MessageType.MsgAppResp, from));
    } else if (type === MessageType.MsgPreVote) {
      rejectStalePreVote(this, message);
    } else if (type === MessageType.MsgStorageAppendResp) {
      // Entries may have been replaced since that term, so the acknowledgement says nothing about those now
      // in the unstable log. A snapshot is committed state of whatever term.
      if (message.index !== 0) {
        this.logger.info(
          `${hex(this.id)} [term: ${this.term}] ignored entry appends from a ${describeMessageType(type)} message ` +
            `with lower term [term: ${term}]`,
        );
      }
      if (message.snapshot !== undefined) this.#appliedSnapshot(message.snapshot);
    } else {
      this.logger.info(
        `${hex(this.id)} [term: ${this.term}] ignored a ${describeMessageType(type)} message with lower term ` +
          `from ${hex(from)} [term: ${term}]`,
      );
    }
  }

  #handleApplied(entries: readonly Entry[]): void {
    const last = entries.at(-1);
    if (last === undefined) return;
    this.#appliedTo(last.index, entriesSize(entries));
    // The count may be too low after a change of leader, but never too high.
    this.uncommittedSize = Math.max(0, this.uncommittedSize - payloadsSize(entries));
  }

  #appliedTo(index: number, size: number): void {
    const applied = Math.max(index, this.log.applied);
    this.log.appliedTo(applied, size);
    if (!this.tracker.config.autoLeave || applied < this.pendingConfIndex || this.role !== Role.Leader)
      return;
    // Empty data is never refused for its size. A leader transfer may refuse it: then the next applied entry
    // gets here again, or the new leader does.
    const leave = newMessage(MessageType.MsgProp, None);
    leave.entries.push(confChangeEntry(undefined));
    const refused = this.step(leave);
    const config = describeConfig(this.tracker.config);
    if (refused === undefined) {
      this.logger.info(`initiating automatic transition out of joint configuration ${config}`);
    } else {
      this.logger.debug(
        `not initiating automatic transition out of joint configuration ${config}: ${refused}`,
      );
    }
  }

  #appliedSnapshot(snapshot: Snapshot): void {
    const index = snapshotIndex(snapshot);
    this.log.unstable.stableSnapshotTo(index);
    this.#appliedTo(index, 0);
  }

  becomeFollower(term: number, lead: bigint): void {
    this.#reset(term);
    this.lead = lead;
    this.role = Role.Follower;
    this.logger.info(`${hex(this.id)} became follower at term ${this.term}`);
  }

  becomeCandidate(): void {
    assert(this.role !== Role.Leader, 'a leader does not become candidate');
    this.#reset(this.term + 1);
    this.vote = this.id;
    this.role = Role.Candidate;
    this.logger.info(`${hex(this.id)} became candidate at term ${this.term}`);
  }

  /** Asking whether an election could be won changes neither term nor vote. */
  becomePreCandidate(): void {
    assert(this.role !== Role.Leader, 'a leader does not become pre-candidate');
    this.tracker.resetVotes();
    this.lead = None;
    this.role = Role.PreCandidate;
    this.logger.info(`${hex(this.id)} became pre-candidate at term ${this.term}`);
  }

  becomeLeader(): void {
    assert(this.role === Role.Candidate, 'only a candidate becomes leader');
    this.#reset(this.term);
    this.lead = this.id;
    this.role = Role.Leader;
    const own = this.tracker.progress.get(this.id);
    assert(own !== undefined, 'a leader is in its own configuration when elected');
    own.becomeReplicate();
    own.recentActive = true;
    // There may be a change among the entries not yet committed; waiting for them all is simpler than looking.
    this.pendingConfIndex = this.log.lastIndex();
    // Entries of earlier terms commit only with one of the leader's own (thesis, 3.6.2).
    const appended = this.appendEntries([{ type: 0, term: 0, index: 0, data: undefined }]);
    assert(appended, 'the first entry of a term is never refused');
    this.logger.info(`${hex(this.id)} became leader at term ${this.term}`);
  }

  #reset(term: number): void {
    assert(term >= this.term, 'the term never decreases');
    if (this.term !== term) {
      this.term = term;
      this.vote = None;
    }
    this.lead = None;
    this.electionElapsed = 0;
    this.heartbeatElapsed = 0;
    const { electionTick, randomInt } = this.config;
    this.randomizedElectionTimeout = electionTick + randomInt(electionTick);
    this.leadTransferee = None;
    this.#resetProgress();
    this.pendingConfIndex = 0;
    this.uncommittedSize = 0;
    this.readOnly = new ReadOnly(this.config.readOnlyOption);
  }

  #resetProgress(): void {
    const { tracker } = this;
    tracker.resetVotes();
    const lastIndex = this.log.lastIndex();
    for (const [id, { isLearner }] of tracker.progress) {
      const fresh = new Progress({
        match: id === this.id ? lastIndex : 0,
        next: lastIndex + 1,
        inflights: new Inflights(tracker.maxInflight, tracker.maxInflightBytes),
        isLearner,
        recentActive: false,
      });
      tracker.progress.set(id, fresh);
    }
  }

  /**
   * Appends a leader's new entries, numbering them. They count for the leader once durable: the acknowledgement
   * to itself is queued behind the write.
   *
   * @param entries owned by the log from here on
   * @returns false, appending nothing, when too much is uncommitted already; empty entries are never refused
   */
  appendEntries(entries: readonly Entry[]): boolean {
    const size = payloadsSize(entries);
    const limit = this.config.maxUncommittedSize;
    if (this.uncommittedSize > 0 && size > 0 && this.uncommittedSize + size > limit) {
      this.logger.warn(
        `${hex(this.id)} appending new entries to log would exceed uncommitted entry size limit; dropping proposal`,
      );
      return false;
    }
    this.uncommittedSize += size;
    let index = this.log.lastIndex();
    for (const entry of entries) {
      entry.term = this.term;
      entry.index = ++index;
    }
    const acknowledged = newMessage(MessageType.MsgAppResp, this.id);
    acknowledged.index = this.log.append(entries);
    this.send(acknowledged);
    return true;
  }
}
