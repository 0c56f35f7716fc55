import { assert, defined } from '../lib/assert.ts';
import type { Clock } from '../ports/clock.ts';
import type { Engine, WriteBatch } from '../ports/engine.ts';
import { type EtcdError, errors } from '../wire/errors.ts';
import { Lease as StoredLease } from '../wire/gen/leasepb.ts';
import { Attachments } from './attachments.ts';
import { spreadExpiries } from './pile-up.ts';
import { allLeases, leaseRow } from './rows.ts';
import { TimedQueue } from './timed-queue.ts';

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
  /** Clock milliseconds; infinite on a member that is not primary. */
  expiry: number;
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
  readonly #expiries = new TimedQueue();
  readonly #checkpoints = new TimedQueue();
  /** Leases to write; undefined for those to delete. */
  readonly #dirty = new Map<bigint, LeaseState | undefined>();
  #primary = false;

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
          this.#leases.set(stored.id, {
            id: stored.id,
            ttl,
            remainingTtl: stored.remainingTtl,
            expiry: FOREVER,
            gone: undefined,
          });
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
    const lease: LeaseState = {
      id,
      ttl: Math.max(ttl, this.#options.minTtl),
      remainingTtl: 0,
      expiry: FOREVER,
      gone: undefined,
    };
    this.#leases.set(id, lease);
    this.counters.granted += 1;
    this.#options.granted?.(lease.ttl);
    this.#dirty.set(id, lease);
    if (this.#primary) this.#refresh(lease, 0);
    if (this.#primary) this.#scheduleCheckpoint(lease);
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
    this.#expiries.delete(id);
    this.#checkpoints.delete(id);
    notifyGone(lease, 'revoked');
  }

  /** Notes the seconds left, 0 clearing the note; unknown leases are ignored, as in etcd. It takes effect on promotion. */
  checkpoint(id: bigint, remainingTtl: number): void {
    const lease = this.#leases.get(id);
    if (lease === undefined) return;
    lease.remainingTtl = remainingTtl;
    this.#dirty.set(id, lease);
    if (this.#primary) this.#scheduleCheckpoint(lease);
  }

  /** A keepalive. The owner has made sure that it is still the leader and has applied what was committed. */
  renew(id: bigint): RenewResult {
    if (!this.#primary) return 'not-primary';
    const lease = this.#leases.get(id);
    if (lease === undefined) return 'not-found';
    if (lease.expiry <= this.#options.clock.now()) return 'expired';
    if (this.#options.checkpoints && lease.remainingTtl > 0) return 'checkpointed';
    this.#refresh(lease, 0);
    return { ttl: lease.ttl };
  }

  /** Calls back once, when the lease is revoked or this member stops being primary; at once when either is so already. */
  whenGone(id: bigint, callback: (reason: 'revoked' | 'demoted') => void): void {
    const lease = this.#leases.get(id);
    if (lease === undefined) callback('revoked');
    else if (!this.#primary) callback('demoted');
    else (lease.gone ??= []).push(callback);
  }

  /** Milliseconds until the lease expires, negative when it has; infinite when this member isn't primary. */
  remainingMs(id: bigint): number | undefined {
    const lease = this.#leases.get(id);
    return lease === undefined ? undefined : lease.expiry - this.#options.clock.now();
  }

  /** All leases, those that expire first in front. */
  list(): Lease[] {
    return [...this.#leases.values()].sort(byExpiry);
  }

  attach(id: bigint, key: Buffer): void {
    this.#attachments.attach(id, key);
  }

  detach(id: bigint, key: Buffer): void {
    this.#attachments.detach(id, key);
  }

  /** Keys attached to the lease, in ascending byte order. */
  keysOf(id: bigint): Buffer[] {
    return this.#attachments.keysOf(id);
  }

  /**
   * Starts expiring leases, each `extendMs` later than its time to live from now says: a former primary may have
   * renewed it just before. Piled-up expiries are spread, so that revoking never fills the log at once.
   */
  promote(extendMs: number): void {
    this.#primary = true;
    for (const lease of this.#leases.values()) {
      this.#refresh(lease, extendMs);
      this.#scheduleCheckpoint(lease);
    }
    if (this.#leases.size < REVOKE_RATE) return;
    const now = this.#options.clock.now();
    const sorted = [...this.#leases.values()].sort(byExpiry);
    spreadExpiries(
      sorted.map((lease) => lease.expiry - now),
      REVOKE_RATE,
      (index, delayMs) => {
        const lease = defined(sorted[index], 'spreading names leases by their place');
        this.#refresh(lease, extendMs + delayMs);
        this.#scheduleCheckpoint(lease);
      },
    );
  }

  /** Stops expiring leases; those waiting in `whenGone` are told. */
  demote(): void {
    this.#primary = false;
    this.#expiries.clear();
    this.#checkpoints.clear();
    for (const lease of this.#leases.values()) {
      lease.expiry = FOREVER;
      notifyGone(lease, 'demoted');
    }
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
      this.#expiries.set(first.id, retryAt);
      ids.push(first.id);
    }
    return ids;
  }

  /** Up to `limit` checkpoints that are due, to be proposed in one entry. */
  dueCheckpoints(limit: number = MAX_CHECKPOINT_BATCH): { id: bigint; remainingTtl: number }[] {
    const due: { id: bigint; remainingTtl: number }[] = [];
    const now = this.#options.clock.now();
    while (due.length < limit) {
      const first = this.#checkpoints.peek();
      if (first === undefined || first.time > now) break;
      this.#checkpoints.delete(first.id);
      const lease = defined(this.#leases.get(first.id), 'a lease scheduled for a checkpoint exists');
      if (lease.expiry <= now) continue;
      const remainingTtl = Math.ceil((lease.expiry - now) / 1000);
      if (remainingTtl < lease.ttl) due.push({ id: lease.id, remainingTtl });
    }
    return due;
  }

  /** Puts the changes since the last call into the batch, which must be written before the next read. */
  stage(batch: WriteBatch): void {
    this.#attachments.stage(batch);
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

  #refresh(lease: LeaseState, extendMs: number): void {
    lease.expiry = this.#options.clock.now() + extendMs + effectiveTtl(lease) * 1000;
    this.#expiries.set(lease.id, lease.expiry);
  }

  #scheduleCheckpoint(lease: LeaseState): void {
    if (!this.#options.checkpoints) return;
    const interval = this.#options.checkpointIntervalMs ?? DEFAULT_CHECKPOINT_INTERVAL_MS;
    if (effectiveTtl(lease) * 1000 > interval)
      this.#checkpoints.set(lease.id, this.#options.clock.now() + interval);
  }
}

function effectiveTtl(lease: Lease): number {
  return lease.remainingTtl > 0 ? lease.remainingTtl : lease.ttl;
}

function byExpiry(a: LeaseState, b: LeaseState): number {
  if (a.expiry !== b.expiry) return a.expiry < b.expiry ? -1 : 1;
  return a.id < b.id ? -1 : 1;
}

function notifyGone(lease: LeaseState, reason: 'revoked' | 'demoted'): void {
  const waiting = lease.gone;
  if (waiting === undefined) return;
  lease.gone = undefined;
  for (const callback of waiting) callback(reason);
}
