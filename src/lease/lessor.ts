import { assert, defined } from '../lib/assert.ts';
import { ShardedMap } from '../lib/sharded-map.ts';
import { SlicedSort } from '../lib/sliced-sort.ts';
import { runSteps, type Steps } from '../lib/steps.ts';
import type { Clock } from '../ports/clock.ts';
import type { Engine, WriteBatch } from '../ports/engine.ts';
import { type EtcdError, errors } from '../wire/errors.ts';
import { Lease as StoredLease } from '../wire/gen/leasepb.ts';
import { Attachments } from './attachments.ts';
import { Promotion } from './promotion.ts';
import { allLeases, leaseRow } from './rows.ts';
import { type Slot, TimedQueue } from './timed-queue.ts';

export const NO_LEASE = 0n;
/** The largest TTL that can be granted, in seconds. */
export const MAX_LEASE_TTL = 9_000_000_000;
/** At most this many leases are revoked per second. */
export const REVOKE_RATE = 1000;
/** The most checkpoints in one proposal. */
export const MAX_CHECKPOINT_BATCH = 1000;
export const DEFAULT_CHECKPOINT_INTERVAL_MS = 5 * 60 * 1000;
/** How often the owner asks for expired leases and due checkpoints. */
export const LESSOR_LOOP_MS = 500;

const SCAN_ROWS = 1024;
/** How many leases are listed or sorted in one step. */
const LISTED_PER_STEP = 2000;
/** How many leases one step of a promotion visits: about two milliseconds of work. */
const PROMOTED_PER_STEP = 4096;
/** Values instead of an epoch: the lease was not visited in any epoch, or it no longer exists. */
const NOT_VISITED = 0;
const GONE = -1;
const FOREVER = Number.POSITIVE_INFINITY;

/** The smallest TTL in seconds: one and a half election timeouts, so that a lease survives a change of leader. */
export function minimumLeaseTtl(timing: { readonly electionTicks: number; readonly tickMs: number }): number {
  return Math.ceil((Math.floor((3 * timing.electionTicks) / 2) * timing.tickMs) / 1000);
}

export interface LessorOptions {
  readonly engine: Engine;
  readonly clock: Clock;
  /** The smallest TTL in seconds. A shorter one is raised to it. */
  readonly minTtl: number;
  /** Whether the primary proposes checkpoints of remaining TTLs. */
  readonly checkpoints: boolean;
  readonly checkpointIntervalMs?: number;
  /** An expired lease that still exists after this long is reported again. */
  readonly expiredRetryMs?: number;
  /** Called with the TTL of each granted lease. */
  readonly granted?: (ttl: number) => void;
}

/** A granted lease. Read-only outside this module. */
export interface Lease {
  readonly id: bigint;
  /** The granted TTL in seconds. */
  readonly ttl: number;
  /** The remaining seconds at the last checkpoint; 0 means the full TTL. */
  readonly remainingTtl: number;
}

interface LeaseState extends Lease {
  remainingTtl: number;
  /** The epoch in which the fields below were set. In any other epoch they are not valid. */
  epoch: number;
  /** Clock milliseconds. */
  expiry: number;
  expirySlot: Slot<LeaseState> | undefined;
  checkpointSlot: Slot<LeaseState> | undefined;
  gone: ((reason: 'revoked' | 'demoted') => void)[] | undefined;
}

/**
 * The result of a keep-alive. On `expired` the caller must wait with `whenGone`. On `checkpointed` it must propose a
 * checkpoint of 0, which clears the remaining TTL on all members, and then call `renew` again.
 */
export type RenewResult = { readonly ttl: number } | 'not-primary' | 'not-found' | 'expired' | 'checkpointed';

/**
 * Grants, renews and expires leases. Grants, revokes and checkpoints are raft entries and are applied on every
 * member. Only the primary expires and renews leases; the primary is the raft leader.
 *
 * Changes are kept until `stage`, which puts them into the same engine batch as the entry that caused them.
 */
export class Lessor {
  /** Counts since the start of the process. */
  readonly counters = { granted: 0, revoked: 0 };
  readonly #options: LessorOptions;
  #leases: ShardedMap<bigint, LeaseState>;
  readonly #attachments: Attachments;
  readonly #expiries = new TimedQueue<LeaseState>();
  readonly #checkpoints = new TimedQueue<LeaseState>();
  /** Leases with callers in `whenGone`. */
  readonly #awaited = new Set<LeaseState>();
  /** Leases to write; undefined for leases to delete. */
  readonly #dirty = new Map<bigint, LeaseState | undefined>();
  #primary = false;
  /** The number of promotions and demotions. With it neither must visit every lease at once. */
  #epoch = NOT_VISITED;
  /** Leases that were not visited in this epoch have their full time from this moment on. */
  #epochStartMs = 0;
  #promotion: Promotion<LeaseState> | undefined;

  constructor(options: LessorOptions) {
    this.#options = options;
    this.#attachments = new Attachments(options.engine);
    this.#leases = runSteps(this.#load());
  }

  /**
   * Reads all leases, but not their keys, from the engine again. Until the last step the lessor is as it was;
   * afterwards it is not primary.
   */
  *recover(): Steps<void> {
    const leases = yield* this.#load();
    this.demote();
    this.#leases = leases;
    this.#dirty.clear();
    this.#attachments.reset();
  }

  *#load(): Steps<ShardedMap<bigint, LeaseState>> {
    const leases = new ShardedMap<bigint, LeaseState>(lowBits);
    const rows = this.#options.engine.iterate('lease', allLeases);
    try {
      for (;;) {
        const chunk = rows.next(SCAN_ROWS);
        if (chunk.length === 0) return leases;
        for (let i = 1; i < chunk.length; i += 2) {
          const stored = StoredLease.decode(defined(chunk[i], 'iterator rows come in pairs'));
          const ttl = Math.max(stored.ttl, this.#options.minTtl);
          leases.set(stored.id, newLease(stored.id, ttl, stored.remainingTtl));
        }
        yield;
      }
    } finally {
      rows.close();
    }
  }

  get isPrimary(): boolean {
    return this.#primary;
  }

  get size(): number {
    return this.#leases.size;
  }

  /** @returns the lease, or LeaseNotFound for ID 0, LeaseTTLTooLarge, LeaseExist */
  grant(id: bigint, ttl: number): Lease | EtcdError {
    if (id === NO_LEASE) return errors.LeaseNotFound;
    if (ttl > MAX_LEASE_TTL) return errors.LeaseTTLTooLarge;
    if (this.#leases.has(id)) return errors.LeaseExist;
    const lease = newLease(id, Math.max(ttl, this.#options.minTtl), 0);
    this.#leases.set(id, lease);
    this.counters.granted += 1;
    this.#options.granted?.(lease.ttl);
    this.#dirty.set(id, lease);
    if (this.#primary) this.#refresh(lease);
    return lease;
  }

  lookup(id: bigint): Lease | undefined {
    return this.#leases.get(id);
  }

  /**
   * Removes the lease. In the same batch the caller deletes its keys, in `keysOf` order and at one revision, and
   * calls `detach` for each. The order of these calls does not matter.
   */
  remove(id: bigint): void {
    const lease = this.#leases.get(id);
    assert(lease !== undefined, 'only an existing lease is removed');
    this.#leases.delete(id);
    this.counters.revoked += 1;
    this.#dirty.set(id, undefined);
    if (lease.epoch === this.#epoch) {
      if (lease.expirySlot !== undefined) this.#expiries.remove(lease.expirySlot);
      if (lease.checkpointSlot !== undefined) this.#checkpoints.remove(lease.checkpointSlot);
    }
    lease.epoch = GONE;
    this.#notifyGone(lease, 'revoked');
  }

  /**
   * Sets the remaining TTL; 0 clears it. As in etcd, an unknown lease is ignored. The value is used at the next
   * promotion.
   */
  checkpoint(id: bigint, remainingTtl: number): void {
    const lease = this.#leases.get(id);
    if (lease === undefined) return;
    lease.remainingTtl = remainingTtl;
    this.#dirty.set(id, lease);
    // A lease that was not visited in this epoch is scheduled when it is visited.
    if (this.#primary && lease.epoch === this.#epoch) this.#scheduleCheckpoint(lease);
  }

  /** A keep-alive. The owner has checked that it still leads and has applied all committed entries. */
  renew(id: bigint): RenewResult {
    if (!this.#primary) return 'not-primary';
    const lease = this.#leases.get(id);
    if (lease === undefined) return 'not-found';
    if (this.#expiryOf(lease) <= this.#options.clock.now()) return 'expired';
    if (this.#options.checkpoints && lease.remainingTtl > 0) return 'checkpointed';
    this.#refresh(lease);
    return { ttl: lease.ttl };
  }

  /**
   * Calls back once: when the lease is revoked or this member stops being primary, or at once if that has already
   * happened.
   */
  whenGone(id: bigint, callback: (reason: 'revoked' | 'demoted') => void): void {
    const lease = this.#leases.get(id);
    if (lease === undefined) callback('revoked');
    else if (!this.#primary) callback('demoted');
    else {
      (lease.gone ??= []).push(callback);
      this.#awaited.add(lease);
    }
  }

  /** Milliseconds until the lease expires: negative if it has expired, infinite if this member is not primary. */
  remainingMs(id: bigint): number | undefined {
    const lease = this.#leases.get(id);
    return lease === undefined ? undefined : this.#expiryOf(lease) - this.#options.clock.now();
  }

  /** All leases by expiry, the earliest first. Leases granted during the listing may be included. */
  *list(): Steps<readonly { readonly id: bigint }[]> {
    const all: { id: bigint; expiry: number }[] = [];
    for (const lease of this.#leases.values()) {
      all.push({ id: lease.id, expiry: this.#expiryOf(lease) });
      if (all.length % LISTED_PER_STEP === 0) yield;
    }
    const sort = new SlicedSort(all, (a, b) => {
      if (a.expiry !== b.expiry) return a.expiry < b.expiry ? -1 : 1;
      return a.id < b.id ? -1 : 1;
    });
    while (!sort.step(LISTED_PER_STEP)) yield;
    return sort.result;
  }

  attach(id: bigint, key: Buffer): void {
    this.#attachments.attach(id, key);
  }

  detach(id: bigint, key: Buffer): void {
    this.#attachments.detach(id, key);
  }

  /** The keys attached to the lease, in ascending byte order. */
  keysOf(id: bigint): Steps<Buffer[]> {
    return this.#attachments.keysOf(id);
  }

  /** Whether more than `count` keys are attached to the lease. */
  hasMoreKeysThan(id: bigint, count: number): boolean {
    return this.#attachments.hasMoreThan(id, count);
  }

  /** From now on reads see only committed keys, because the current batch continues in another turn. */
  hide(): void {
    this.#attachments.hide();
  }

  show(): void {
    this.#attachments.show();
  }

  /**
   * Starts to expire leases. Each lives `extendMs` longer than its remaining TTL, because the former primary may just
   * have renewed it. Many expiries at the same time are spread, so that revokes never fill the raft log at once.
   *
   * Renewals work at once. A lease can expire after `promoteMore` has visited it.
   *
   * @returns false if there is more to do: call `promoteMore` until it returns true
   */
  promote(extendMs: number): boolean {
    this.#endEpoch();
    this.#primary = true;
    const beginsMs = this.#options.clock.now() + extendMs;
    this.#epochStartMs = beginsMs;
    const leases = {
      items: this.#leases.values(),
      remainingSeconds: (lease: LeaseState) =>
        lease.epoch === this.#epoch || lease.epoch === GONE ? undefined : effectiveTtl(lease),
      schedule: (lease: LeaseState, seconds: number, delayMs: number) =>
        this.#setExpiry(lease, beginsMs + 1000 * seconds + delayMs),
    };
    this.#promotion = new Promotion(leases, REVOKE_RATE);
    return this.promoteMore();
  }

  /** Continues for about two milliseconds. @returns whether the promotion is complete or was ended by a demotion */
  promoteMore(): boolean {
    if (this.#promotion?.step(PROMOTED_PER_STEP) === true) this.#promotion = undefined;
    return this.#promotion === undefined;
  }

  /** Stops expiring leases and informs the callers of `whenGone`. */
  demote(): void {
    this.#endEpoch();
    for (const lease of [...this.#awaited]) this.#notifyGone(lease, 'demoted');
  }

  #endEpoch(): void {
    this.#primary = false;
    this.#epoch += 1;
    this.#promotion = undefined;
    this.#expiries.clear();
    this.#checkpoints.clear();
  }

  /** Up to `limit` expired leases. The owner proposes a revoke for each. Empty if not primary. */
  expired(limit: number = REVOKE_RATE / 2): bigint[] {
    const ids: bigint[] = [];
    if (!this.#primary) return ids;
    const now = this.#options.clock.now();
    const retryAt = now + (this.#options.expiredRetryMs ?? 3000);
    while (ids.length < limit) {
      const first = this.#expiries.peek();
      if (first === undefined || first.time > now) break;
      this.#expiries.move(first, retryAt);
      ids.push(first.item.id);
    }
    return ids;
  }

  /** The checkpoints that are due, for one proposal. Visits up to `limit` leases. */
  dueCheckpoints(limit: number = MAX_CHECKPOINT_BATCH): { id: bigint; remainingTtl: number }[] {
    const due: { id: bigint; remainingTtl: number }[] = [];
    const now = this.#options.clock.now();
    for (let looked = 0; looked < limit; looked += 1) {
      const first = this.#checkpoints.peek();
      if (first === undefined || first.time > now) break;
      this.#checkpoints.remove(first);
      const lease = first.item;
      lease.checkpointSlot = undefined;
      const { expiry } = lease;
      if (expiry <= now) continue;
      const remainingTtl = Math.ceil((expiry - now) / 1000);
      if (remainingTtl < lease.ttl) due.push({ id: lease.id, remainingTtl });
    }
    return due;
  }

  /** Puts the changes since the last call into the batch. The batch must be written before the next read. */
  stage(batch: WriteBatch): void {
    this.#attachments.stage(batch);
    this.stageLeases(batch);
  }

  /** The same for a change of many keys. Their attachments follow with `stageAttachments`. */
  stageLeases(batch: WriteBatch): void {
    if (this.#dirty.size === 0) return;
    for (const [id, lease] of this.#dirty) {
      if (lease === undefined) batch.del('lease', leaseRow(id));
      else
        batch.put(
          'lease',
          leaseRow(id),
          StoredLease.encode({ id, ttl: lease.ttl, remainingTtl: lease.remainingTtl }),
        );
    }
    this.#dirty.clear();
  }

  /** Puts up to `count` changes of attachments into a batch. @returns whether these are the last ones */
  stageAttachments(batch: WriteBatch, count: number): boolean {
    return this.#attachments.stagePart(batch, count);
  }

  #refresh(lease: LeaseState): void {
    this.#setExpiry(lease, this.#options.clock.now() + effectiveTtl(lease) * 1000);
  }

  #setExpiry(lease: LeaseState, expiry: number): void {
    this.#enterEpoch(lease);
    lease.expiry = expiry;
    if (lease.expirySlot === undefined) lease.expirySlot = this.#expiries.add(lease, expiry);
    else this.#expiries.move(lease.expirySlot, expiry);
  }

  #scheduleCheckpoint(lease: LeaseState): void {
    if (!this.#options.checkpoints) return;
    const interval = this.#options.checkpointIntervalMs ?? DEFAULT_CHECKPOINT_INTERVAL_MS;
    if (effectiveTtl(lease) * 1000 <= interval) return;
    const time = this.#options.clock.now() + interval;
    if (lease.checkpointSlot === undefined) lease.checkpointSlot = this.#checkpoints.add(lease, time);
    else this.#checkpoints.move(lease.checkpointSlot, time);
  }

  /** The queues were emptied since the epoch in which the lease was last visited. */
  #enterEpoch(lease: LeaseState): void {
    if (lease.epoch === this.#epoch) return;
    lease.epoch = this.#epoch;
    lease.expirySlot = undefined;
    lease.checkpointSlot = undefined;
    this.#scheduleCheckpoint(lease);
  }

  /** Clock milliseconds; infinite if this member is not primary. */
  #expiryOf(lease: LeaseState): number {
    if (!this.#primary) return FOREVER;
    return lease.epoch === this.#epoch ? lease.expiry : this.#epochStartMs + effectiveTtl(lease) * 1000;
  }

  #notifyGone(lease: LeaseState, reason: 'revoked' | 'demoted'): void {
    const waiting = lease.gone;
    if (waiting === undefined) return;
    lease.gone = undefined;
    this.#awaited.delete(lease);
    for (const callback of waiting) callback(reason);
  }
}

/** The shard of a lease. IDs of all clients differ in their low bits. */
function lowBits(id: bigint): number {
  return Number(BigInt.asUintN(8, id));
}

function newLease(id: bigint, ttl: number, remainingTtl: number): LeaseState {
  return {
    id,
    ttl,
    remainingTtl,
    epoch: NOT_VISITED,
    expiry: FOREVER,
    expirySlot: undefined,
    checkpointSlot: undefined,
    gone: undefined,
  };
}

function effectiveTtl(lease: Lease): number {
  return lease.remainingTtl > 0 ? lease.remainingTtl : lease.ttl;
}
