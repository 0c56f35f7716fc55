import { assert, defined } from '../lib/assert.ts';
import { SlicedSort } from '../lib/sliced-sort.ts';
import type { Steps } from '../lib/steps.ts';
import type { Clock } from '../ports/clock.ts';
import type { Engine, WriteBatch } from '../ports/engine.ts';
import { type EtcdError, errors } from '../wire/errors.ts';
import { Lease as StoredLease } from '../wire/gen/leasepb.ts';
import { Attachments } from './attachments.ts';
import { Promotion } from './promotion.ts';
import { allLeases, leaseRow } from './rows.ts';
import { type Slot, TimedQueue } from './timed-queue.ts';

export const NO_LEASE = 0n;
/** Longest time to live that can be granted, in seconds. */
export const MAX_LEASE_TTL = 9_000_000_000;
/** Leases handed to revoking, and checkpoints proposed, per second at most. */
export const REVOKE_RATE = 1000;
export const CHECKPOINT_RATE = 1000;
/** Checkpoints in one proposal at most. */
export const MAX_CHECKPOINT_BATCH = 1000;
export const DEFAULT_CHECKPOINT_INTERVAL_MS = 5 * 60 * 1000;
/** How often the owner asks for expired leases and due checkpoints. */
export const LESSOR_LOOP_MS = 500;

const SCAN_ROWS = 1024;
/** Leases listed or sorted in one step. */
const LISTED_PER_STEP = 2000;
/** Leases that a step of a promotion looks at: about two milliseconds. */
const PROMOTED_PER_STEP = 4096;
/** In place of a reign: the lease was not visited in any, or does not exist any more. */
const NOT_VISITED = 0;
const GONE = -1;
const FOREVER = Number.POSITIVE_INFINITY;

/**
 * Shortest time to live in seconds: one and a half election timeouts, so that a lease outlives a change of leader.
 */
export function minimumLeaseTtl(timing: { readonly electionTicks: number; readonly tickMs: number }): number {
  return Math.ceil((Math.floor((3 * timing.electionTicks) / 2) * timing.tickMs) / 1000);
}

export interface LessorOptions {
  readonly engine: Engine;
  readonly clock: Clock;
  /** Shorter grants are lengthened to this many seconds. */
  readonly minTtl: number;
  /** Whether the primary proposes checkpoints of remaining times at all. */
  readonly checkpoints: boolean;
  readonly checkpointIntervalMs?: number;
  /** A lease reported as expired is reported again after this long when it is still there. */
  readonly expiredRetryMs?: number;
  /** Told the time to live of each lease granted. */
  readonly granted?: (ttl: number) => void;
}

/** A granted lease. Read-only outside this room. */
export interface Lease {
  readonly id: bigint;
  /** Granted seconds. */
  readonly ttl: number;
  /** Seconds left at the last checkpoint; 0 means the full time to live. */
  readonly remainingTtl: number;
}

interface LeaseState extends Lease {
  remainingTtl: number;
  /** The reign in which what follows was set; of any other reign it means nothing. */
  reign: number;
  /** Clock milliseconds. */
  expiry: number;
  expirySlot: Slot<LeaseState> | undefined;
  checkpointSlot: Slot<LeaseState> | undefined;
  gone: ((reason: 'revoked' | 'demoted') => void)[] | undefined;
}

/**
 * What a keepalive came to. `expired` asks the caller to wait with `whenGone`; `checkpointed` asks it to propose a
 * checkpoint of 0 for the lease (which clears the remaining time on all members) and to call `renew` again.
 */
export type RenewResult = { readonly ttl: number } | 'not-primary' | 'not-found' | 'expired' | 'checkpointed';

/**
 * Grants, renews and expires leases. Grants, revokes and checkpoints come out of the log, on every member alike;
 * expiry and renewal are the primary's alone, and the primary is raft's leader.
 *
 * Changes are kept back until `stage`, which puts them into the same engine batch as the entry that caused them.
 */
export class Lessor {
  /** Since the start. */
  readonly counters = { granted: 0, revoked: 0 };
  readonly #options: LessorOptions;
  readonly #leases = new Map<bigint, LeaseState>();
  readonly #attachments: Attachments;
  readonly #expiries = new TimedQueue<LeaseState>();
  readonly #checkpoints = new TimedQueue<LeaseState>();
  /** Leases that somebody waits for in `whenGone`. */
  readonly #awaited = new Set<LeaseState>();
  /** Leases to write; undefined for those to delete. */
  readonly #dirty = new Map<bigint, LeaseState | undefined>();
  #primary = false;
  /** Counts promotions and demotions, so that neither has to visit every lease at once. */
  #reign = NOT_VISITED;
  /** The time from which leases live that were not visited yet in this reign. */
  #reignBeginsMs = 0;
  #promotion: Promotion<LeaseState> | undefined;

  constructor(options: LessorOptions) {
    this.#options = options;
    this.#attachments = new Attachments(options.engine);
    this.recover();
  }

  /** Reads all leases (not their keys) anew; the lessor is then not primary. */
  recover(): void {
    this.demote();
    this.#leases.clear();
    this.#dirty.clear();
    this.#attachments.reset();
    const rows = this.#options.engine.iterate('lease', allLeases);
    try {
      for (;;) {
        const chunk = rows.next(SCAN_ROWS);
        if (chunk.length === 0) break;
        for (let i = 1; i < chunk.length; i += 2) {
          const stored = StoredLease.decode(defined(chunk[i], 'iterator rows come in pairs'));
          const ttl = Math.max(stored.ttl, this.#options.minTtl);
          this.#leases.set(stored.id, newLease(stored.id, ttl, stored.remainingTtl));
        }
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

  /** @returns the lease, or LeaseNotFound for id 0, LeaseTTLTooLarge, LeaseExist */
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
   * Takes the lease away. The caller has deleted its keys (in `keysOf` order, at one revision) in the same batch;
   * `detach` of each of them may come before or after.
   */
  remove(id: bigint): void {
    const lease = this.#leases.get(id);
    assert(lease !== undefined, 'only an existing lease is removed');
    this.#leases.delete(id);
    this.counters.revoked += 1;
    this.#dirty.set(id, undefined);
    if (lease.reign === this.#reign) {
      if (lease.expirySlot !== undefined) this.#expiries.remove(lease.expirySlot);
      if (lease.checkpointSlot !== undefined) this.#checkpoints.remove(lease.checkpointSlot);
    }
    lease.reign = GONE;
    this.#notifyGone(lease, 'revoked');
  }

  /** Notes the seconds left, 0 clearing the note; unknown leases are ignored, as in etcd. It takes effect on promotion. */
  checkpoint(id: bigint, remainingTtl: number): void {
    const lease = this.#leases.get(id);
    if (lease === undefined) return;
    lease.remainingTtl = remainingTtl;
    this.#dirty.set(id, lease);
    // One that was not visited yet in this reign is scheduled then.
    if (this.#primary && lease.reign === this.#reign) this.#scheduleCheckpoint(lease);
  }

  /** A keepalive. The owner has made sure that it is still the leader and has applied what was committed. */
  renew(id: bigint): RenewResult {
    if (!this.#primary) return 'not-primary';
    const lease = this.#leases.get(id);
    if (lease === undefined) return 'not-found';
    if (this.#expiryOf(lease) <= this.#options.clock.now()) return 'expired';
    if (this.#options.checkpoints && lease.remainingTtl > 0) return 'checkpointed';
    this.#refresh(lease);
    return { ttl: lease.ttl };
  }

  /** Calls back once, when the lease is revoked or this member stops being primary; at once when either is so already. */
  whenGone(id: bigint, callback: (reason: 'revoked' | 'demoted') => void): void {
    const lease = this.#leases.get(id);
    if (lease === undefined) callback('revoked');
    else if (!this.#primary) callback('demoted');
    else {
      (lease.gone ??= []).push(callback);
      this.#awaited.add(lease);
    }
  }

  /** Milliseconds until the lease expires, negative when it has; infinite when this member isn't primary. */
  remainingMs(id: bigint): number | undefined {
    const lease = this.#leases.get(id);
    return lease === undefined ? undefined : this.#expiryOf(lease) - this.#options.clock.now();
  }

  /** Ids of all leases, those that expire first in front. Ones granted meanwhile may be among them. */
  *list(): Steps<bigint[]> {
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
    return sort.result.map(({ id }) => id);
  }

  attach(id: bigint, key: Buffer): void {
    this.#attachments.attach(id, key);
  }

  detach(id: bigint, key: Buffer): void {
    this.#attachments.detach(id, key);
  }

  /** Keys attached to the lease, in ascending byte order. */
  keysOf(id: bigint): Steps<Buffer[]> {
    return this.#attachments.keysOf(id);
  }

  /** Whether more keys than that are attached to the lease. */
  hasMoreKeysThan(id: bigint, count: number): boolean {
    return this.#attachments.hasMoreThan(id, count);
  }

  /** From now on reads see the keys as they are committed: the batch under way is gone on with in another turn. */
  hide(): void {
    this.#attachments.hide();
  }

  show(): void {
    this.#attachments.show();
  }

  /**
   * Starts expiring leases, each `extendMs` later than its time to live from now says: a former primary may have
   * renewed it just before. Piled-up expiries are spread, so that revoking never fills the log at once.
   *
   * Renewing works at once. Leases begin to expire as `promoteMore` gets to them.
   *
   * @returns false where there is more to do: `promoteMore` is to be called until it returns true
   */
  promote(extendMs: number): boolean {
    this.#endReign();
    this.#primary = true;
    const beginsMs = this.#options.clock.now() + extendMs;
    this.#reignBeginsMs = beginsMs;
    const leases = {
      items: this.#leases.values(),
      remainingSeconds: (lease: LeaseState) =>
        lease.reign === this.#reign || lease.reign === GONE ? undefined : effectiveTtl(lease),
      schedule: (lease: LeaseState, seconds: number, delayMs: number) =>
        this.#setExpiry(lease, beginsMs + 1000 * seconds + delayMs),
    };
    this.#promotion = new Promotion(leases, REVOKE_RATE);
    return this.promoteMore();
  }

  /** Goes on for about two milliseconds. @returns whether the promotion is done, or has ended with a demotion */
  promoteMore(): boolean {
    if (this.#promotion?.step(PROMOTED_PER_STEP) === true) this.#promotion = undefined;
    return this.#promotion === undefined;
  }

  /** Stops expiring leases; those waiting in `whenGone` are told. */
  demote(): void {
    this.#endReign();
    for (const lease of [...this.#awaited]) this.#notifyGone(lease, 'demoted');
  }

  #endReign(): void {
    this.#primary = false;
    this.#reign += 1;
    this.#promotion = undefined;
    this.#expiries.clear();
    this.#checkpoints.clear();
  }

  /** Up to `limit` leases past their expiry, for each of which the owner proposes a revoke. Empty when not primary. */
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

  /** Checkpoints that are due, to be proposed in one entry. Looks at up to `limit` leases. */
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

  /** Puts the changes since the last call into the batch, which must be written before the next read. */
  stage(batch: WriteBatch): void {
    this.#attachments.stage(batch);
    this.stageLeases(batch);
  }

  /** The same for a change of so many keys that their attachments follow with `stageAttachments`. */
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

  /** Puts as many changes of attachments into a batch. @returns whether these are the last ones */
  stageAttachments(batch: WriteBatch, count: number): boolean {
    return this.#attachments.stagePart(batch, count);
  }

  #refresh(lease: LeaseState): void {
    this.#setExpiry(lease, this.#options.clock.now() + effectiveTtl(lease) * 1000);
  }

  #setExpiry(lease: LeaseState, expiry: number): void {
    this.#enterReign(lease);
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

  /** The queues were emptied since the reign that the lease was last visited in. */
  #enterReign(lease: LeaseState): void {
    if (lease.reign === this.#reign) return;
    lease.reign = this.#reign;
    lease.expirySlot = undefined;
    lease.checkpointSlot = undefined;
    this.#scheduleCheckpoint(lease);
  }

  /** Clock milliseconds; infinite on a member that is not primary. */
  #expiryOf(lease: LeaseState): number {
    if (!this.#primary) return FOREVER;
    return lease.reign === this.#reign ? lease.expiry : this.#reignBeginsMs + effectiveTtl(lease) * 1000;
  }

  #notifyGone(lease: LeaseState, reason: 'revoked' | 'demoted'): void {
    const waiting = lease.gone;
    if (waiting === undefined) return;
    lease.gone = undefined;
    this.#awaited.delete(lease);
    for (const callback of waiting) callback(reason);
  }
}

function newLease(id: bigint, ttl: number, remainingTtl: number): LeaseState {
  return {
    id,
    ttl,
    remainingTtl,
    reign: NOT_VISITED,
    expiry: FOREVER,
    expirySlot: undefined,
    checkpointSlot: undefined,
    gone: undefined,
  };
}

function effectiveTtl(lease: Lease): number {
  return lease.remainingTtl > 0 ? lease.remainingTtl : lease.ttl;
}
