import { waitUntilApplied } from './wait-applied.ts';
import type { Member } from './member.ts';
import { RaftRequestField } from './raft-request.ts';
import { errors } from '../wire/errors.ts';
import { LeaseCheckpointRequest } from '../wire/gen/etcdserverpb.ts';
import { runYieldingToEnd } from '../server/run-yielding.ts';
import type { LeaseRefusal, RemoteLease } from '../ports/peer-client.ts';

/**
 * Leases at the leader. Only the leader knows their remaining TTL. Rejects with the reason if the leader cannot be
 * asked.
 */
export interface LeaderLeases {
  /** The lease's TTL from now, in seconds. Rejects with LeaseNotFound. */
  renew(id: bigint): Promise<number>;
  timeToLive(id: bigint, withKeys: boolean): Promise<RemoteLease>;
}

const RETRY_MS = 50;

/** Renews leases and reads their TTL, on any member. */
export class Leases {
  readonly #member: Member;
  readonly #leader: LeaderLeases | undefined;

  /** @param leader asks another member that leads; undefined in a cluster of one */
  constructor(member: Member, leader: LeaderLeases | undefined) {
    this.#member = member;
    this.#leader = leader;
  }

  /** The usual case: this member leads and has the lease. Undefined if more must be done. */
  renewNow(id: bigint): number | undefined {
    const { lessor, isLeader, leadership, config } = this.#member;
    if (!isLeader || !leadership.isSure || config.featureGates.get('FastLeaseKeepAlive') === false)
      return undefined;
    const result = lessor.renew(id);
    if (typeof result === 'string') return undefined;
    this.#member.metrics.lease.renewed++;
    return result.ttl;
  }

  /** The lease's TTL from now, in seconds; undefined if it does not exist. Rejects with etcd's error. */
  async renew(id: bigint): Promise<number | undefined> {
    const member = this.#member;
    const deadline = member.clock.now() + member.config.requestTimeoutMs;
    for (;;) {
      if (member.isLeader) {
        const renewed = await this.renewHere(id);
        if (renewed === 'not-found') return undefined;
        if (typeof renewed === 'number') return renewed;
      } else if (member.hasLeader && this.#leader !== undefined) {
        try {
          return await this.#leader.renew(id);
        } catch (error) {
          if (error === errors.LeaseNotFound) return undefined;
        }
      }
      await this.#pause(deadline);
    }
  }

  /** As leader. Returns `not-primary` if this member does not lead or has stopped leading. */
  async renewHere(id: bigint): Promise<number | LeaseRefusal> {
    const member = this.#member;
    const { lessor, config } = member;
    if (!(await member.leadership.ensure())) return 'not-primary';
    if (config.featureGates.get('FastLeaseKeepAlive') === false || lessor.lookup(id) === undefined)
      await waitUntilApplied(member);
    for (;;) {
      const result = lessor.renew(id);
      if (typeof result === 'object') {
        member.metrics.lease.renewed++;
        return result.ttl;
      }
      if (result === 'not-found' || result === 'not-primary') return result;
      if (result === 'checkpointed') await this.#clearCheckpoint(id);
      else if ((await this.#gone(id)) === 'demoted') return 'not-primary';
      else return 'not-found';
    }
  }

  /** Undefined if the lease does not exist. Rejects with etcd's error. */
  async timeToLive(id: bigint, withKeys: boolean): Promise<RemoteLease | undefined> {
    const member = this.#member;
    const deadline = member.clock.now() + member.config.requestTimeoutMs;
    for (;;) {
      if (member.isLeader) {
        const found = await this.timeToLiveHere(id, withKeys);
        if (found === 'not-found') return undefined;
        if (found === 'not-primary') throw errors.LeaderChanged;
        if (typeof found === 'object') return found;
      } else if (member.hasLeader && this.#leader !== undefined) {
        try {
          return await this.#leader.timeToLive(id, withKeys);
        } catch (error) {
          if (error === errors.LeaseNotFound) return undefined;
        }
      }
      await this.#pause(deadline);
    }
  }

  async timeToLiveHere(id: bigint, withKeys: boolean): Promise<RemoteLease | LeaseRefusal> {
    const member = this.#member;
    if (!member.isLeader) return 'not-primary';
    await waitUntilApplied(member);
    const { lessor } = member;
    const lease = lessor.lookup(id);
    if (lease === undefined) return 'not-found';
    if (!lessor.isPrimary) return 'not-primary';
    const remainingMs = lessor.remainingMs(id) ?? 0;
    const keys = withKeys ? await runYieldingToEnd(member.scheduler, lessor.keysOf(id)) : [];
    return { ttl: Math.trunc(remainingMs / 1000), grantedTtl: lease.ttl, keys };
  }

  #gone(id: bigint): Promise<'revoked' | 'demoted'> {
    return new Promise((resolve) => this.#member.lessor.whenGone(id, resolve));
  }

  #clearCheckpoint(id: bigint): Promise<void> {
    const body = LeaseCheckpointRequest.encode({ checkpoints: [{ id, remainingTtl: 0 }] });
    return new Promise((resolve, reject) => {
      this.#member.propose(RaftRequestField.leaseCheckpoint, body, undefined, {
        settled: () => resolve(),
        failed: reject,
      });
    });
  }

  async #pause(deadline: number): Promise<void> {
    const { clock, scheduler } = this.#member;
    if (clock.now() >= deadline) throw errors.Timeout;
    await new Promise<void>((resolve) => {
      scheduler.after(RETRY_MS, resolve);
    });
  }
}
