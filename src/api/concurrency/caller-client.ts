import { checkDelete, checkRange, checkTxn } from '../../apply/checks.ts';
import { rangeOptions } from '../../apply/kv-context.ts';
import { LEASE_GRANT_COST, txnCost } from '../../apply/quota.ts';
import { type Applied, isError } from '../../apply/results.ts';
import { type AuthInfo, NOBODY } from '../../auth/auth-store.ts';
import type { StreamCall } from '../../grpc/stream-call.ts';
import type { UnaryCall } from '../../grpc/unary-call.ts';
import type { RangeResult } from '../../mvcc/range-scan.ts';
import { RaftRequestField } from '../../server/raft-request.ts';
import { type EtcdError, errors } from '../../wire/errors.ts';
import {
  DeleteRangeRequest,
  LeaseGrantRequest,
  type RangeRequest,
  TxnRequest,
  TxnResponse,
} from '../../wire/gen/etcdserverpb.ts';
import { KeyValue } from '../../wire/gen/mvccpb.ts';
import type { ServiceContext } from '../service-context.ts';
import { CallEndedError } from './call-ended-error.ts';
import { KeyEvents, type KeyEventsOptions } from './key-events.ts';

/** The TTL of etcd's sessions, in seconds. */
const SESSION_TTL = 60;
const KEYS_PER_SLICE = 1000;

export interface TxnOutcome {
  readonly revision: number;
  readonly succeeded: boolean;
  /** For each operation, the result of a range, if it was one. */
  readonly found: readonly (readonly KeyValue[])[];
}

export interface RangeOutcome {
  readonly revision: number;
  readonly kvs: readonly KeyValue[];
}

/**
 * Access to the store and the leases for the services built on them. Requests are made in the name of the caller,
 * with the same checks and permissions as requests of a client. They reject with etcd's errors.
 */
export class CallerClient {
  readonly #context: ServiceContext;
  readonly #call: UnaryCall | StreamCall;

  constructor(context: ServiceContext, call: UnaryCall | StreamCall) {
    this.#context = context;
    this.#call = call;
  }

  /** The given lease, or a new one for 0. Whether a given lease exists is checked when it is used. */
  async session(lease: bigint): Promise<bigint> {
    if (lease !== 0n) return lease;
    await this.#withQuota(LEASE_GRANT_COST);
    const who = await this.#who();
    if (this.#context.member.auth.isEnabled && who === undefined) throw errors.UserEmpty;
    const id = this.#context.member.ids.leaseId();
    await this.#propose(RaftRequestField.leaseGrant, LeaseGrantRequest.encode({ ttl: SESSION_TTL, id }));
    return id;
  }

  async txn(request: TxnRequest): Promise<TxnOutcome> {
    refuse(checkTxn(request, this.#context.member.config.maxTxnOps));
    await this.#withQuota(txnCost(request));
    const { revision, body } = await this.#propose(RaftRequestField.txn, TxnRequest.encode(request));
    const { succeeded, responses } = TxnResponse.decode(Buffer.concat(body.slices));
    const found = responses.map(({ response }) =>
      response?.case === 'responseRange' ? response.value.kvs : [],
    );
    return { revision, succeeded, found };
  }

  /** @returns the revision of the deletion, or the current revision if the key did not exist */
  async delete(key: Buffer): Promise<number> {
    const request = DeleteRangeRequest.create({ key });
    refuse(checkDelete(request));
    const { revision } = await this.#propose(
      RaftRequestField.deleteRange,
      DeleteRangeRequest.encode(request),
    );
    return revision;
  }

  /** A linearizable read of the current revision. */
  async range(request: RangeRequest): Promise<RangeOutcome> {
    const { member } = this.#context;
    refuse(checkRange(request));
    await new Promise<void>((resolve, reject) => {
      member.read({ readable: resolve, failed: reject });
    });
    const who = await this.#who();
    await new Promise<void>((resolve) => {
      member.whenOpen(resolve);
    });
    const caller = who ?? NOBODY;
    refuse(member.auth.checkRange(caller, request.key, request.rangeEnd) ?? member.auth.checkCurrent(caller));
    const { revision } = member.store;
    const result = await this.#scan(request);
    return { revision, kvs: result.readAll().map((kv) => KeyValue.decode(kv)) };
  }

  /** Passes events to `take` until it is done or the call ends. If the call ends, rejects with CallEndedError. */
  async withEvents<T>(options: KeyEventsOptions, take: (events: KeyEvents) => Promise<T>): Promise<T> {
    const call = this.#call;
    if (call.ended) throw new CallEndedError();
    const events = new KeyEvents(this.#context.member.hub, options);
    call.onCancel = () => events.close();
    try {
      const taken = await take(events);
      // The end of the call closed the events, so the result of `take` has no meaning.
      if (isEnded(call)) throw new CallEndedError();
      return taken;
    } finally {
      events.close();
      call.onCancel = undefined;
    }
  }

  async #scan(request: RangeRequest): Promise<RangeResult> {
    const { member } = this.#context;
    const scan = member.store.scan(rangeOptions(request));
    while (!scan.step(KEYS_PER_SLICE)) {
      await new Promise<void>((resolve) => {
        member.scheduler.soon(resolve);
      });
    }
    return scan.result();
  }

  /** Identified again each time: permissions and tokens change while a call waits. */
  async #who(): Promise<AuthInfo | undefined> {
    const { member, identify } = this.#context;
    return member.auth.isEnabled ? identify(this.#call) : undefined;
  }

  #withQuota(cost: number): Promise<void> {
    const { member } = this.#context;
    if (member.quota.fits(cost)) return Promise.resolve();
    return new Promise((_resolve, reject) => {
      member.spaceAlarm.raise(() => reject(errors.NoSpace));
    });
  }

  async #propose(field: RaftRequestField, body: Buffer): Promise<Applied> {
    const who = await this.#who();
    return new Promise((resolve, reject) => {
      this.#context.member.propose(field, body, who, {
        settled: (result) => {
          if (isError(result)) reject(result);
          else resolve(result);
        },
        failed: reject,
      });
    });
  }
}

function refuse(error: EtcdError | undefined): void {
  if (error !== undefined) throw error;
}

function isEnded(call: UnaryCall | StreamCall): boolean {
  return call.ended;
}
