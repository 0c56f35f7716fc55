import { AlarmStore } from '../apply/alarms.ts';
import { AppliedState } from '../apply/applied-state.ts';
import { Applier } from '../apply/applier.ts';
import type { Steps } from '../lib/steps.ts';
import { settleAfterCrash, settleSteps } from '../apply/settle-after-crash.ts';
import { Quota } from '../apply/quota.ts';
import { type ApplyResult, isError } from '../apply/results.ts';
import { AuthStore } from '../auth/auth-store.ts';
import type { Config } from '../config/config.ts';
import { Lessor, minimumLeaseTtl } from '../lease/lessor.ts';
import { hex, reasonOf } from '../lib/text.ts';
import { Cluster } from '../membership/cluster.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { MvccStore, type StoreEvent } from '../mvcc/store.ts';
import { WatchHub } from '../mvcc/watch-hub.ts';
import type { Clock } from '../ports/clock.ts';
import { type EngineControl, EngineFullError } from '../ports/engine.ts';
import type { Logger } from '../ports/logger.ts';
import type { Scheduler } from '../ports/scheduler.ts';
import { type ConfChange, type Entry, None, Role, type Snapshot } from '../raft/types.ts';
import type { MemoryStorage } from '../raft/memory-storage.ts';
import { assert } from '../lib/assert.ts';
import { EtcdError, errors, GrpcCode } from '../wire/errors.ts';
import { AlarmType } from '../wire/gen/etcdserverpb.ts';
import { admissionRefusal } from './admission.ts';
import { type AppliedTail, openAppliedTail } from './applied-tail.ts';
import { Compactor } from './compactor.ts';
import { ConfChanges } from './conf-changes.ts';
import type { Consensus, ConsensusDriver, ConsensusInput } from './consensus.ts';
import { Durations } from './durations.ts';
import { EngineRecovery } from './engine-recovery.ts';
import { HeartbeatTimes } from './heartbeat-times.ts';
import { chooseHash, type HashRows } from './hash-store.ts';
import type { Identity } from './identity.ts';
import { Leadership } from './leadership.ts';
import { promoteLeases } from './lease-promotion.ts';
import { LeaderTimes } from './leader-times.ts';
import { type LogCompactor, openLogCompactor } from './log-compactor.ts';
import { LongReads } from './long-reads.ts';
import type { MemberOptions } from './member-options.ts';
import { Proposals, type ResultWaiter } from './proposals.ts';
import type { RaftRequestField, RequestAuth } from './raft-request.ts';
import type { ReadWaiter } from './read-queue.ts';
import { RequestIds } from './request-ids.ts';
import { SpaceAlarm } from './space-alarm.ts';
import { startRaftLoop } from './start-consensus.ts';
import { loadRaftLog } from './start-raft.ts';

/** Called at each change of the leader or of this member's role. */
export type LeadershipObserver = (lead: bigint, isLeader: boolean) => void;

/**
 * One member of a cluster: raft, the applied state, and the duties of a leader. Requests arrive as proposals and reads.
 * Everything runs on one thread, in turns of the raft loop.
 */
export class Member {
  readonly config: Config;
  readonly identity: Identity;
  readonly engine: EngineControl;
  readonly store: MvccStore;
  readonly hub: WatchHub;
  readonly lessor: Lessor;
  readonly cluster: Cluster;
  readonly auth: AuthStore;
  readonly alarms: AlarmStore;
  readonly applied: AppliedState;
  readonly quota: Quota;
  readonly ids: RequestIds;
  readonly compactor: Compactor;
  readonly hashRows: HashRows;
  readonly confChanges: ConfChanges;
  readonly spaceAlarm: SpaceAlarm;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly metrics: Metrics;
  readonly durations: Durations;
  readonly longReads: LongReads;
  /** The view of raft for other modules. */
  readonly consensus: Consensus;
  /** Input for raft from the peer connections. */
  readonly consensusInput: ConsensusInput;
  readonly leadership: Leadership;
  readonly logCompactor: LogCompactor;
  /** The newest applied entries, for the log of the backups. Undefined if this member stores none. */
  readonly appliedTail: AppliedTail | undefined;
  readonly #logger: Logger;
  readonly #options: MemberOptions;
  readonly #raft: ConsensusDriver;
  #applier: Applier;
  readonly #recovery: EngineRecovery;
  readonly #proposals: Proposals;
  readonly #observers = new Set<LeadershipObserver>();
  readonly #eventObservers: ((events: readonly StoreEvent[]) => void)[] = [];
  readonly #installObservers: (() => void)[] = [];
  readonly #turnObservers = new Set<() => void>();
  readonly #leaderTimes: LeaderTimes;
  readonly #heartbeats: HeartbeatTimes;
  readonly #stopTimers: (() => void)[] = [];
  /** Whether it may turn out that this member is the only voter, which need not wait for an election timeout. */
  #mayCampaign = false;
  #stopped = false;

  constructor(options: MemberOptions) {
    const { config, storage, identity, clock, scheduler, metrics } = options;
    const { engine } = storage;
    this.#options = options;
    this.config = config;
    this.#leaderTimes = new LeaderTimes(config.electionTimeoutMs);
    const heartbeatLogger = options.logger('server/heartbeat-times.ts');
    this.#heartbeats = new HeartbeatTimes(config.heartbeatIntervalMs, clock, metrics, heartbeatLogger);
    this.identity = identity;
    this.clock = clock;
    this.scheduler = scheduler;
    this.metrics = metrics;
    this.durations = new Durations(metrics, options);
    this.engine = engine;
    this.#logger = options.logger('server/member.ts');
    settleAfterCrash(engine);
    this.store = new MvccStore(engine, { listCacheBytes: config.listCacheBytes });
    this.hub = new WatchHub(this.store, options.watchPacing);
    this.lessor = new Lessor({
      engine,
      clock,
      minTtl: minimumLeaseTtl({ electionTicks: config.electionTicks, tickMs: config.heartbeatIntervalMs }),
      checkpoints: config.featureGates.get('LeaseCheckpoint') === true,
      granted: (ttl) => metrics.lease.ttlSeconds.observe(ttl),
    });
    this.cluster = new Cluster({ engine, localId: identity.memberId, id: identity.clusterId });
    this.auth = new AuthStore({ engine, ...(options.tokens !== undefined && { tokens: options.tokens }) });
    this.alarms = new AlarmStore(engine);
    this.applied = new AppliedState(engine);
    this.quota = new Quota(config.quotaBackendBytes, () => this.store.sizeBytes);
    this.ids = new RequestIds(identity.memberId, clock.wall());
    const { startConsensus = startRaftLoop } = options;
    this.#raft = startConsensus({
      config,
      storage,
      identity,
      initialMembers: options.initialMembers,
      applied: this.applied,
      scheduler,
      now: () => clock.now(),
      randomInt: options.randomInt,
      slowRequests: this.durations.slowRequests,
      logger: options.logger('raft/raft.ts'),
      hooks: {
        apply: (entries) => this.#apply(entries),
        send: (messages) => options.send(this.#heartbeats.sent(messages)),
        install: (snapshot, done) => this.#install(snapshot, done),
        leadershipChanged: (lead, role) => this.#leadershipChanged(lead, role),
        dropped: (datas, reason) => this.#proposals.dropped(datas, new EtcdError(GrpcCode.Unknown, reason)),
        canRead: () => !this.#recovery.isReopening,
        turned: () => {
          if (this.#mayCampaign) this.#campaignAlone();
          for (const observer of this.#turnObservers) observer();
        },
      },
    });
    this.consensus = this.#raft;
    this.consensusInput = this.#raft;
    const logAtStart = (): MemoryStorage =>
      loadRaftLog(storage.contents, this.applied, config.catchupBytes).memory;
    this.appliedTail = openAppliedTail(config, logAtStart, this.applied, clock, this.store);
    this.#proposals = new Proposals({
      ids: this.ids,
      now: () => clock.now(),
      timeoutMs: config.requestTimeoutMs,
      maxInflightBytes: config.maxInflightBytes,
      refusal: (field, bytes) => this.#refusal(field, bytes),
      propose: (data) => this.#raft.propose(data),
      ended: (field, seconds, isSettled) => this.durations.proposal(field, seconds, isSettled),
    });
    this.longReads = new LongReads({ clock, scheduler, isBusy: () => this.#proposals.pending > 0 });
    this.#applier = this.#makeApplier();
    this.#recovery = new EngineRecovery({
      engine,
      space: storage.space,
      scheduler,
      logger: options.logger('server/engine-recovery.ts'),
      failed: (error) => {
        if (!this.#stopped) this.#fail(`the store cannot be opened again: ${error.message}`);
      },
      suspend: () => {
        this.hub.suspend();
        this.compactor.suspend();
      },
      reload: () => this.#reload(),
    });
    this.leadership = new Leadership(this);
    this.confChanges = new ConfChanges(this);
    this.spaceAlarm = new SpaceAlarm(this, options.logger('server/space-alarm.ts'));
    this.hashRows = chooseHash(this.store, scheduler, options.hashInWorker);
    this.compactor = new Compactor({
      store: this.store,
      scheduler,
      metrics,
      clock,
      batchLimit: config.compactionBatchLimit,
      sleepMs: config.compactionSleepIntervalMs,
      logger: options.logger('server/compactor.ts'),
      writeFailed: (error) => this.#recover(error),
      hashRows: this.hashRows,
      failed: (error) => this.#fail(String(error)),
    });
    this.logCompactor = openLogCompactor(this, {
      log: this.#raft.log,
      releasedIndex: storage.contents.snapshot.index,
      logger: options.logger('server/log-compactor.ts'),
      failed: (error) => this.#fail(error.message),
    });
  }

  /** Starts the ticks. The only member of a cluster starts an election at once. */
  start(): void {
    const { config } = this;
    this.#stopTimers.push(
      this.#raft.start({
        intervalMs: config.heartbeatIntervalMs,
        ticked: () => this.leadership.ticked(),
        every: () => this.#expire(),
      }),
    );
    this.#mayCampaign = true;
    this.compactor.resume();
    this.#raft.schedule();
  }

  /**
   * Starts the election of an only voter, without an election timeout. Who votes is known when the committed entries of
   * the log are applied: a store that was lost in a power failure does not know it. Raft refuses an election before.
   */
  #campaignAlone(): void {
    if (this.#raft.backlog > 0) return;
    this.#mayCampaign = false;
    const { voters } = this.#raft.confState;
    if (voters.length === 1 && voters[0] === this.identity.memberId) this.#raft.campaign();
  }

  get memberIdText(): string {
    return hex(this.identity.memberId);
  }

  get isLeader(): boolean {
    return this.#raft.role === Role.Leader;
  }

  get hasLeader(): boolean {
    return this.#raft.lead !== None;
  }

  /** True when a leader is known. If this member leads, it must also have applied all entries of earlier terms. */
  get isServing(): boolean {
    return this.hasLeader && (!this.isLeader || this.lessor.isPrimary);
  }

  get term(): number {
    return this.#raft.term;
  }

  get pendingProposals(): number {
    return this.#proposals.pending;
  }

  /** See `ReadQueue.slow`. */
  get slowReadIndexes(): number {
    return this.#raft.reads.slow;
  }

  get failedProposals(): number {
    return this.#proposals.failed;
  }

  onLeadership(observer: LeadershipObserver): () => void {
    this.#observers.add(observer);
    return () => this.#observers.delete(observer);
  }

  /** Observes changes of the store, once per batch, before the responses are sent. */
  onEvents(observer: (events: readonly StoreEvent[]) => void): void {
    this.#eventObservers.push(observer);
  }

  /** Called when the leader's process has most likely died: requests forwarded to it need not wait for the timeout. */
  leaderGone(): void {
    if (this.#raft.waitingProposals === 0) this.#proposals.leaderGone();
  }

  /** Observes the end of each turn of the raft loop, when responses may be sent. */
  onTurn(observer: () => void): () => void {
    this.#turnObservers.add(observer);
    return () => this.#turnObservers.delete(observer);
  }

  /** True while the store is closed and cannot even be read. */
  get isReopening(): boolean {
    return this.#recovery.isReopening;
  }

  /** Changes each time the store is closed and reopened. Data read before may no longer exist. */
  get storeGeneration(): number {
    return this.#recovery.generation;
  }

  /** Runs `task` now, or after the store has been reopened. */
  whenOpen(task: () => void): void {
    this.#recovery.whenOpen(task);
  }

  /** Proposes an encoded request. */
  propose(field: RaftRequestField, body: Buffer, auth: RequestAuth | undefined, waiter: ResultWaiter): void {
    if (this.#stopped) waiter.failed(errors.Stopped);
    else this.#proposals.propose(field, body, auth, waiter);
  }

  /**
   * Starts a linearizable read. Calls back when everything acknowledged before this call is applied here. Fails with
   * Timeout when that cannot be confirmed in time, for example without a leader.
   *
   * @returns a function that cancels the read
   */
  read(waiter: ReadWaiter): () => void {
    if (!this.#stopped) return this.#raft.read(waiter, this.clock.now() + this.config.requestTimeoutMs);
    waiter.failed(errors.Stopped);
    return () => undefined;
  }

  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    for (const stop of this.#stopTimers) stop();
    this.compactor.stop();
    this.#raft.stop();
    this.#proposals.failAll(errors.Stopped);
    this.#raft.reads.failAll(errors.Stopped);
  }

  #makeApplier(): Applier {
    const { engine, store, lessor, cluster, auth, alarms, applied, quota } = this;
    const { tokens } = this.#options;
    return new Applier(
      {
        engine,
        store,
        lessor,
        cluster,
        auth,
        alarms,
        applied,
        quota,
        ...(tokens === undefined ? {} : { tokens }),
        maxLearners: this.config.maxLearners,
        applyToRaft: (change: ConfChange) => this.#raft.applyConfChange(change),
      },
      {
        isWanted: (prefix, sequence) => this.#proposals.isWanted(prefix, sequence),
        onResult: (_prefix, sequence, result) => this.#settle(sequence, result),
        onConfChange: (result) => this.confChanges.applied(result),
        onCompaction: (revision) => this.compactor.start(revision),
        onEmptyEntry: (_index, term) => this.#termBegan(term),
        onEvents: (events) => {
          this.hub.notify(events);
          for (const observer of this.#eventObservers) observer(events);
        },
      },
    );
  }

  #apply(entries: readonly Entry[]): number | undefined {
    // The state in memory is invalid until it has been read again.
    if (this.#recovery.isRecovering) return undefined;
    this.durations.applyBegan();
    let count: number;
    try {
      count = this.#applier.applyBatch(entries);
    } catch (error) {
      if (!(error instanceof EngineFullError)) throw error;
      this.#recover(error);
      return undefined;
    }
    this.durations.applied(count, entries[0]?.index, this.#applier.counts);
    if (count > 0) {
      this.appliedTail?.applied(entries, count, this.store);
      this.logCompactor.applied();
    }
    return count;
  }

  /** The disk was full and nothing of the batch was written. Its entries are in the log and are applied again later. */
  #recover(error: EngineFullError): void {
    this.#logger.error('the disk is full; waiting for space to write the store', { error: error.message });
    this.#applier.abandon();
    this.#applier = this.#makeApplier();
    this.#recovery.begin();
  }

  /** Replaces the store and the log up to its index with a snapshot of the leader. */
  #install(snapshot: Snapshot, done: () => void): void {
    const { replaceStore } = this.#options;
    const { metadata } = snapshot;
    assert(replaceStore !== undefined, 'a member that receives snapshots can replace its store');
    assert(metadata?.confState !== undefined, 'a snapshot has metadata with a configuration');
    const { index, term, confState } = metadata;
    this.metrics.server.snapshotApplyInProgress = 1;
    this.#logger.info('applying snapshot', { 'current-applied-index': this.applied.index, index, term });
    this.#recovery
      .whileClosed(() => replaceStore(index))
      .then(() => this.#raft.log.release({ index, term, confState }))
      .then(() => {
        assert(this.applied.index === index, 'a received store has the applied index of its snapshot');
        this.metrics.server.snapshotApplyInProgress = 0;
        this.#logger.info('applied snapshot', { index, term });
        this.appliedTail?.reset({ index, term });
        for (const observer of this.#installObservers) observer();
        done();
        this.#raft.schedule();
      })
      .catch((error: unknown) => {
        if (this.#stopped) return;
        this.#fail(`failed to apply a snapshot: ${reasonOf(error)}`);
      });
  }

  /** Called after a snapshot has been installed. */
  onInstalled(observer: () => void): void {
    this.#installObservers.push(observer);
  }

  /** Reads all state in memory from the engine again: what grows with the data in steps, the rest in the last step. */
  *#reload(): Steps<void> {
    const { store, lessor, cluster, auth, alarms, applied } = this;
    this.#applier.reset();
    yield* settleSteps(this.engine);
    yield* lessor.recover();
    yield* store.recover();
    for (const state of [cluster, auth, alarms]) state.recover();
    applied.recover(this.engine);
    this.hub.restored(store);
    this.compactor.resume();
    if (this.isLeader) promoteLeases(this);
    // Not before the store can be read by all.
    this.whenOpen(() => this.#raft.resume());
  }

  #settle(sequence: number, result: ApplyResult): void {
    const waiter = this.#proposals.take(sequence);
    if (waiter === undefined) return;
    if (isError(result) && result === errors.NoSpace && !this.alarms.isRaised(AlarmType.NOSPACE)) {
      this.spaceAlarm.raise(() => waiter.settled(result));
      return;
    }
    waiter.settled(result);
  }

  /** Called when the first entry of a term is applied. On the leader, leases may now expire. */
  #termBegan(term: number): void {
    this.#proposals.termBegan();
    if (!this.isLeader || term !== this.term) return;
    promoteLeases(this);
    for (const observer of this.#observers) observer(this.#raft.lead, true);
  }

  #leadershipChanged(lead: bigint, role: Role): void {
    const now = this.clock.now();
    this.#heartbeats.reset();
    if (lead === None) this.#leaderTimes.lost(now);
    else {
      this.#leaderTimes.found(now);
      this.metrics.server.leaderChangesSeen++;
    }
    if (role !== Role.Leader) this.lessor.demote();
    this.#logger.info('raft leadership', {
      'local-member-id': this.memberIdText,
      leader: hex(lead),
      role,
      term: this.term,
    });
    for (const observer of this.#observers) observer(lead, role === Role.Leader);
  }

  #refusal(field: RaftRequestField, bytes: number): EtcdError | undefined {
    const { backlog, log } = this.#raft;
    const { space } = this.#options.storage;
    return admissionRefusal({ logRoom: log.room, space }, this.config, backlog, { field, bytes });
  }

  #expire(): void {
    this.#proposals.expire((startedAtMs) => this.#leaderTimes.timeout(startedAtMs));
    this.#raft.reads.expire(this.clock.now(), () => errors.Timeout);
    if (this.#proposals.pending === 0) this.#raft.withdrawAll();
  }

  /** Ends the process, because continuing could corrupt data. */
  #fail(reason: string): never {
    this.#logger.error('the member cannot continue', { reason });
    throw new Error(reason);
  }
}
