import { type AuthInfo, type AuthStore, NOBODY } from '../auth/auth-store.ts';
import { assert, defined } from '../lib/assert.ts';
import { runSteps, type Steps } from '../lib/steps.ts';
import type { Lessor } from '../lease/lessor.ts';
import type { Cluster } from '../membership/cluster.ts';
import { applyConfChange, type MembershipChange, validateConfChange } from '../membership/conf-change.ts';
import type { MvccStore } from '../mvcc/store.ts';
import { unsettledRevision } from '../mvcc/store-meta.ts';
import type { Engine, WriteBatch } from '../ports/engine.ts';
import { type EtcdError, errors } from '../wire/errors.ts';
import { AlarmType, InternalRaftRequest } from '../wire/gen/etcdserverpb.ts';
import { ConfChange, type ConfState, type Entry, EntryType } from '../wire/gen/raftpb.ts';
import { EMPTY } from '../wire/reader.ts';
import type { AlarmStore } from './alarms.ts';
import type { AppliedState } from './applied-state.ts';
import {
  checkDeleteAllowed,
  checkLeaseKeysWritable,
  checkPutAllowed,
  checkTxnAllowed,
} from './auth-checks.ts';
import { applyAuthRequest, type TokenAssigner } from './auth-requests.ts';
import { applyAlarm, applyClusterRequest } from './cluster-requests.ts';
import {
  deleteRange,
  put,
  rangeOptions,
  refusePut,
  refuseRevision,
  scanRange,
  writeDeleteBody,
  writePutBody,
  writeRangeBody,
} from './kv-context.ts';
import { applyCheckpoint, applyGrant, applyRevoke } from './lease-requests.ts';
import { LargeEntry } from './large-entry.ts';
import { BatchDecoder, type Decoded } from './batch-decoder.ts';
import { GuardedEntry } from './guarded-entry.ts';
import { applyGuarded } from './guarded-txn.ts';
import { LargeRequest } from './large-request.ts';
import { PutEntry } from './put-entry.ts';
import { LEASE_GRANT_COST, putCost, type Quota, txnCost } from './quota.ts';
import { ResponseBody } from './response-body.ts';
import { type Applied, type ApplyResult, headerOnly, isError } from './results.ts';
import type { ApplyListener, ConfChangeResult } from './apply-listener.ts';
import { ApplyCounts } from './apply-counts.ts';
import { hasPinnedRange, runTxn } from './txn.ts';

const LOW_48_BITS = 0xffff_ffff_ffffn;

export interface ApplierOptions {
  readonly engine: Engine;
  readonly store: MvccStore;
  readonly lessor: Lessor;
  readonly cluster: Cluster;
  readonly auth: AuthStore;
  readonly alarms: AlarmStore;
  readonly applied: AppliedState;
  readonly quota: Quota;
  readonly tokens?: TokenAssigner;
  readonly maxLearners: number;
  /**
   * Passes a committed change to raft, and returns the configuration after it. A change with node ID 0 changes
   * nothing.
   */
  readonly applyToRaft: (change: ConfChange) => ConfState;
}

/**
 * Applies committed entries. The result depends only on the state before and the entry, so that it is the same on
 * each member. A batch of entries becomes one engine batch together with the applied index. So after a crash each
 * entry has been applied once or not at all.
 */
export class Applier {
  readonly #options: ApplierOptions;
  readonly #listener: ApplyListener;
  readonly #decoder: BatchDecoder;
  /** Rare calls to the listener, by the entry's position in the batch. */
  readonly #announcements = new Map<number, () => void>();
  readonly #resultPrefixes: number[] = [];
  readonly #resultSequences: number[] = [];
  readonly #results: (ApplyResult | undefined)[] = [];
  /** What was applied since the last `drain`. */
  readonly counts = new ApplyCounts();
  #who: AuthInfo = NOBODY;
  /** The open engine batch, if something was written to it before the end. */
  #batch: WriteBatch | undefined;
  /** How many entries of the current batch have delivered their results. */
  #delivered = 0;
  #large: LargeEntry | undefined;

  constructor(options: ApplierOptions, listener: ApplyListener) {
    this.#options = options;
    this.#decoder = new BatchDecoder(options);
    this.#listener = listener;
  }

  /** Entries up to this index are already in the engine. They are skipped. */
  get appliedIndex(): number {
    return this.#options.applied.index;
  }

  /**
   * Whether a large entry is being applied over several turns. `applyBatch` must then be called again with the same
   * entries.
   */
  get isUnderWay(): boolean {
    return this.#large !== undefined;
  }

  /**
   * Applies consecutive entries, or the first of them if all have too many keys for one turn. Entries that are already
   * applied are skipped. A large entry is applied by itself, one part per call. Its changes are not visible until it is
   * complete.
   *
   * @returns how many of the entries, from the first on, are applied now
   */
  applyBatch(entries: readonly Entry[]): number {
    if (this.#large !== undefined) return this.#continue(this.#large);
    const { applied } = this.#options;
    let first = 0;
    while (first < entries.length && defined(entries[first], 'entries have no holes').index <= applied.index)
      first++;
    if (first === entries.length) return first;
    const { decoded } = this.#decoder;
    const count = this.#decoder.decode(entries, first);
    if (count === 0) {
      const request = decoded[0] as PutEntry | LargeRequest | InternalRaftRequest;
      const entry = defined(entries[first], 'entries have no holes');
      this.#large = new LargeEntry(this.#options, first + 1, (large) =>
        this.#applyLarge(large, entry, request),
      );
      return this.#continue(this.#large);
    }
    for (let i = 0; i < count; i++) {
      const entry = defined(entries[first + i], 'entries have no holes');
      this.#results[i] = this.#applyEntry(entry, decoded[i], i);
      applied.advance(entry.index, entry.term);
    }
    this.#commit();
    this.#deliver(count);
    this.#finish();
    return first + count;
  }

  /** Drops the work in progress: the store was closed or replaced. */
  reset(): void {
    this.#large = undefined;
  }

  /**
   * The batch could not be written. Until memory is read again, reads, watches and hashes see what the engine holds, and
   * not this batch. A large change that is committed but not settled stays visible. This object can't be used again.
   */
  abandon(): void {
    const { engine, store, lessor } = this.#options;
    if (unsettledRevision(engine) !== undefined) return;
    store.hide();
    lessor.hide();
  }

  #continue(large: LargeEntry): number {
    if (!large.step()) return 0;
    this.#large = undefined;
    return large.entries;
  }

  *#applyLarge(
    large: LargeEntry,
    entry: Entry,
    request: PutEntry | LargeRequest | InternalRaftRequest,
  ): Steps<void> {
    if (request instanceof PutEntry) this.#results[0] = yield* this.#applyLargePut(request, 0);
    else {
      const decoded = request instanceof LargeRequest ? yield* request.decode() : request;
      this.#results[0] = yield* this.#applyRequest(decoded, 0);
    }
    yield* large.commit(entry, (batch) => this.#write(batch), this.#listener);
    this.#deliver(1);
    this.#finish();
  }

  #applyEntry(entry: Entry, decoded: Decoded, place: number): ApplyResult | undefined {
    if (decoded === undefined) {
      this.#announcements.set(place, () => this.#listener.onEmptyEntry(entry.index, entry.term));
      return undefined;
    }
    if (decoded instanceof PutEntry) {
      const wanted = this.#name(place, decoded.idPrefix, decoded.idSequence);
      const result = this.#applyPut(decoded, wanted);
      this.counts.countPut(isError(result));
      return wanted ? result : undefined;
    }
    if (decoded instanceof GuardedEntry) return this.#applyGuarded(entry, decoded, place);
    if (entry.type === EntryType.EntryConfChange) {
      this.#applyConfChange(decoded as ConfChange, place);
      return undefined;
    }
    return runSteps(this.#applyRequest(decoded as InternalRaftRequest, place));
  }

  #applyGuarded(entry: Entry, txn: GuardedEntry, place: number): ApplyResult | undefined {
    const wanted = this.#name(place, txn.idPrefix, txn.idSequence);
    const result = applyGuarded(this.#options, txn, wanted);
    if (result === undefined)
      return runSteps(this.#applyRequest(InternalRaftRequest.decode(entry.data ?? EMPTY), place));
    this.counts.guarded += 1;
    return wanted ? result : undefined;
  }

  /** A put whose lease has so many keys that they are checked over several turns. */
  *#applyLargePut(request: PutEntry, place: number): Steps<ApplyResult | undefined> {
    const wanted = this.#name(place, request.idPrefix, request.idSequence);
    const result = yield* this.#applyPutInSteps(request.caller, request, wanted);
    this.counts.countPut(isError(result));
    return wanted ? result : undefined;
  }

  /** Records which request's result comes at this position. @returns whether a local caller waits for it */
  #name(place: number, prefix: number, sequence: number): boolean {
    this.#resultPrefixes[place] = prefix;
    this.#resultSequences[place] = sequence;
    return this.#listener.isWanted(prefix, sequence);
  }

  /** The error of the alarm that refuses writes, if one is raised. */
  #alarm(): EtcdError | undefined {
    const { alarms } = this.#options;
    if (alarms.isRaised(AlarmType.CORRUPT)) return errors.Corrupt;
    return alarms.isRaised(AlarmType.NOSPACE) ? errors.NoSpace : undefined;
  }

  #applyPut(request: PutEntry, wanted: boolean): ApplyResult {
    if (this.#options.auth.isEnabled) return runSteps(this.#applyPutInSteps(request.caller, request, wanted));
    return this.#alarm() ?? this.#applyAllowedPut(request, wanted);
  }

  *#applyPutInSteps(who: AuthInfo, request: PutEntry, wanted: boolean): Steps<ApplyResult> {
    const denied = this.#alarm() ?? (yield* checkPutAllowed(this.#options, who, request));
    return denied ?? this.#applyAllowedPut(request, wanted);
  }

  #applyAllowedPut(request: PutEntry, wanted: boolean): ApplyResult {
    const { store, quota } = this.#options;
    const fits = quota.fits(putCost(request.key.length, request.value.length));
    const refusal = refusePut(this.#options, request);
    if (refusal !== undefined) return refusal;
    const txn = store.begin();
    const previous = put(this.#options, txn, request);
    const { revision } = txn;
    let result: Applied = headerOnly(revision);
    if (wanted && request.prevKv && previous !== undefined) {
      const body = new ResponseBody();
      writePutBody(body, txn, request, previous);
      result = { revision, body };
    }
    txn.end();
    // As in etcd, the put that exceeds the quota is applied, but it is answered with the error that raises the alarm.
    return fits ? result : errors.NoSpace;
  }

  *#applyRequest(request: InternalRaftRequest, place: number): Steps<ApplyResult | undefined> {
    const { header } = request;
    const id = request.id === 0n ? defined(header, 'a logged request has an id or a header').id : request.id;
    const wanted = this.#name(place, Number(id >> 48n), Number(id & LOW_48_BITS));
    if (applyClusterRequest(this.#options.cluster, request)) {
      this.counts.count(request, false);
      return wanted ? headerOnly(this.#options.store.revision) : undefined;
    }
    if (!wanted && hasNoEffect(request)) return undefined;
    this.#who = header === undefined ? NOBODY : { username: header.username, revision: header.authRevision };
    const result =
      (yield* this.#applyKv(request, wanted, place)) ??
      (yield* this.#applyLease(request)) ??
      this.#applyOther(request);
    // As in etcd, a compaction that was done before counts as a success.
    this.counts.count(request, isError(result) && result !== errors.Compacted);
    return wanted ? result : undefined;
  }

  *#applyKv(request: InternalRaftRequest, wanted: boolean, place: number): Steps<ApplyResult | undefined> {
    if (request.txn !== undefined) return yield* this.#applyTxn(request.txn, wanted, place);
    if (request.deleteRange !== undefined) return yield* this.#applyDelete(request.deleteRange, wanted);
    if (request.put !== undefined) return yield* this.#applyDecodedPut(request, wanted);
    if (request.range !== undefined) return yield* this.#applyRange(request.range);
    if (request.compaction !== undefined) return this.#applyCompaction(request.compaction.revision, place);
    return undefined;
  }

  *#applyDecodedPut(request: InternalRaftRequest, wanted: boolean): Steps<ApplyResult> {
    const entry = new PutEntry();
    Object.assign(entry, request.put, { username: this.#who.username, authRevision: this.#who.revision });
    return yield* this.#applyPutInSteps(this.#who, entry, wanted);
  }

  *#applyTxn(
    request: NonNullable<InternalRaftRequest['txn']>,
    wanted: boolean,
    place: number,
  ): Steps<ApplyResult> {
    const { alarms, quota, store } = this.#options;
    if (alarms.isRaised(AlarmType.CORRUPT)) return errors.Corrupt;
    const cost = txnCost(request);
    if (cost > 0 && alarms.isRaised(AlarmType.NOSPACE)) return errors.NoSpace;
    const denied = yield* checkTxnAllowed(this.#options, this.#who, request);
    if (denied !== undefined) return denied;
    // A read at a revision reads the engine, so the writes of earlier entries of the batch are written first. Their
    // results are delivered with them. If the rest of the batch fails, they are not applied again.
    if (store.pendingEvents > 0 && hasPinnedRange(request)) {
      this.#commit();
      this.#deliver(place);
    }
    const fits = quota.fits(cost);
    const result = yield* runTxn(this.#options, request, wanted);
    return fits || 'code' in result ? result : errors.NoSpace;
  }

  *#applyDelete(
    request: NonNullable<InternalRaftRequest['deleteRange']>,
    wanted: boolean,
  ): Steps<ApplyResult> {
    const { alarms, store } = this.#options;
    if (alarms.isRaised(AlarmType.CORRUPT)) return errors.Corrupt;
    const denied = checkDeleteAllowed(this.#options, this.#who, request);
    if (denied !== undefined) return denied;
    const txn = store.begin();
    const deleted = yield* deleteRange(this.#options, txn, request, wanted && request.prevKv);
    const body = new ResponseBody();
    if (wanted) yield* writeDeleteBody(body, store, deleted);
    const { revision } = txn;
    txn.end();
    return { revision, body };
  }

  /** Old members sent reads through the raft log. Current members do not. */
  *#applyRange(request: NonNullable<InternalRaftRequest['range']>): Steps<ApplyResult> {
    const { alarms, auth, store } = this.#options;
    if (alarms.isRaised(AlarmType.CORRUPT)) return errors.Corrupt;
    const refusal =
      auth.checkRange(this.#who, request.key, request.rangeEnd) ?? refuseRevision(store, request.revision);
    if (refusal !== undefined) return refusal;
    const body = new ResponseBody();
    const result = yield* scanRange(store.scan(rangeOptions(request)));
    yield* writeRangeBody(body, result);
    return { revision: store.revision, body };
  }

  #applyCompaction(revision: number, place: number): ApplyResult {
    const { alarms, engine, store } = this.#options;
    if (alarms.isRaised(AlarmType.CORRUPT)) return errors.Corrupt;
    this.#batch ??= engine.batch();
    const refusal = store.compact(revision, this.#batch);
    if (refusal !== undefined) return refusal === 'compacted' ? errors.Compacted : errors.FutureRev;
    this.#announcements.set(place, () => this.#listener.onCompaction(revision));
    return { ...headerOnly(store.revision), compacting: revision };
  }

  *#applyLease(request: InternalRaftRequest): Steps<ApplyResult | undefined> {
    const { alarms, lessor, store, quota } = this.#options;
    const isCorrupt = alarms.isRaised(AlarmType.CORRUPT);
    if (request.leaseGrant !== undefined) {
      if (isCorrupt) return errors.Corrupt;
      if (alarms.isRaised(AlarmType.NOSPACE)) return errors.NoSpace;
      const fits = quota.fits(LEASE_GRANT_COST);
      const result = applyGrant(lessor, request.leaseGrant, store.revision);
      return fits || 'code' in result ? result : errors.NoSpace;
    }
    if (request.leaseRevoke !== undefined) {
      if (isCorrupt) return errors.Corrupt;
      const denied = yield* checkLeaseKeysWritable(this.#options, this.#who, request.leaseRevoke.id);
      return denied ?? (yield* applyRevoke(this.#options, request.leaseRevoke));
    }
    if (request.leaseCheckpoint !== undefined)
      return applyCheckpoint(lessor, request.leaseCheckpoint, store.revision);
    return undefined;
  }

  #applyOther(request: InternalRaftRequest): ApplyResult {
    const { alarms, auth, tokens, store, applied } = this.#options;
    const { revision } = store;
    if (request.alarm !== undefined) return applyAlarm(alarms, request.alarm, revision);
    const result = applyAuthRequest(
      { auth, tokens, who: this.#who, revision, index: applied.index },
      request,
    );
    assert(result !== undefined, 'every logged request is of a kind this version can apply');
    return result;
  }

  #applyConfChange(change: ConfChange, place: number): void {
    const { applied, applyToRaft, cluster, maxLearners } = this.#options;
    const error = validateConfChange(cluster, change, maxLearners);
    let done: MembershipChange | undefined;
    if (error === undefined) {
      applied.setConfState(applyToRaft(change));
      done = applyConfChange(cluster, change);
    } else {
      applyToRaft({ ...change, nodeId: 0n });
    }
    const result: ConfChangeResult = { id: change.id, error, change: done, members: cluster.members() };
    this.#announcements.set(place, () => this.#listener.onConfChange(result));
  }

  #commit(): void {
    const { engine, store, lessor } = this.#options;
    const batch = this.#batch ?? engine.batch();
    this.#batch = undefined;
    store.stage(batch);
    lessor.stage(batch);
    this.#write(batch);
    const events = store.committed();
    if (events.length > 0) this.#listener.onEvents(events);
  }

  /** Writes the batch together with the state of the other stores and the applied index. */
  #write(batch: WriteBatch): void {
    const { engine, cluster, auth, alarms, applied } = this.#options;
    cluster.stage(batch);
    auth.stage(batch);
    alarms.stage(batch);
    applied.stage(batch);
    engine.write(batch);
  }

  /** Delivers the results of the entries before `end`, which are in the engine. */
  #deliver(end: number): void {
    for (let i = this.#delivered; i < end; i++) {
      const result = this.#results[i];
      if (result !== undefined) {
        this.#results[i] = undefined;
        const prefix = defined(this.#resultPrefixes[i], 'a result belongs to a named request');
        this.#listener.onResult(
          prefix,
          defined(this.#resultSequences[i], 'a result belongs to a named request'),
          result,
        );
      }
      if (this.#announcements.size > 0) this.#announcements.get(i)?.();
    }
    this.#delivered = end;
  }

  #finish(): void {
    this.#delivered = 0;
    this.#announcements.clear();
    this.#decoder.release();
  }
}

/** Requests that only read. They need not be applied if no local caller waits. */
function hasNoEffect(request: InternalRaftRequest): boolean {
  return (
    request.range !== undefined ||
    request.authUserGet !== undefined ||
    request.authRoleGet !== undefined ||
    request.authStatus !== undefined
  );
}
