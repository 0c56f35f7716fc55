import type { GrpcServer } from '../grpc/server.ts';
import type { MethodStats } from '../grpc/method-stats.ts';
import type { SlowCalls } from '../grpc/slow-calls.ts';
import { Status } from '../grpc/status.ts';
import { assert } from '../lib/assert.ts';
import type { SharedStore, StoreLoan } from '../ports/store-view.ts';
import type { AgreementWaiter, EndedRead, SlowRead, ThreadReads } from '../ports/thread-reads.ts';
import type { Member } from '../server/member.ts';
import { SLOW_MS } from '../server/slow-requests.ts';
import { EtcdError } from '../wire/errors.ts';
import { RangeRequest } from '../wire/gen/etcdserverpb.ts';
import { EMPTY } from '../wire/reader.ts';
import { KV } from '../wire/services.ts';
import { reportSlowRead } from './timed-read.ts';

export interface MemberReadsOptions {
  readonly member: Member;
  readonly server: GrpcServer;
  readonly store: SharedStore;
  readonly slowCalls: SlowCalls;
}

/** Lets serving threads read single keys from the store of a member, and records their reads as its own. */
export class MemberReads implements ThreadReads {
  readonly clusterId: bigint;
  readonly memberId: bigint;
  readonly #options: MemberReadsOptions;
  readonly #stats: MethodStats;

  constructor(options: MemberReadsOptions) {
    const { member, server } = options;
    this.#options = options;
    this.clusterId = member.identity.clusterId;
    this.memberId = member.identity.memberId;
    const { path } = KV.methods.range;
    const stats = server.methodStats()[server.methods().findIndex((method) => method.path === path)];
    assert(stats !== undefined, 'the services are registered before threads read');
    this.#stats = stats;
  }

  agree(isLinearizable: boolean, waiter: AgreementWaiter): void {
    const { member } = this.#options;
    if (!isLinearizable || !this.#isReadable) {
      waiter.ready(this.#isReadable ? member.term : undefined);
      return;
    }
    member.read({
      readable: () => waiter.ready(this.#isReadable ? member.term : undefined),
      failed: (error) => {
        if (!(error instanceof EtcdError)) throw error;
        waiter.failed(error.code, error.message);
      },
    });
  }

  ended({ code, tookMs, lookUpMs, requestBytes, responseBytes, clientVersion }: EndedRead): void {
    const { member, server } = this.#options;
    const stats = this.#stats;
    stats.started++;
    stats.messagesReceived++;
    stats.countHandled(code);
    server.counters.messageBytesReceived += requestBytes;
    if (responseBytes !== undefined) {
      stats.messagesSent++;
      server.counters.messageBytesSent += responseBytes;
    }
    server.clientVersions.count(true, clientVersion);
    member.durations.read('Range', tookMs / 1000, code === Status.OK);
    if (lookUpMs === undefined) return;
    member.metrics.mvcc.rangeTotal++;
    member.durations.range(lookUpMs / 1000, true);
  }

  slow(read: SlowRead): void {
    const { member, slowCalls } = this.#options;
    const { tookMs, peer, readAtMs, foundAtMs, count, revision, responseBytes } = read;
    const request = Buffer.from(read.request, 'base64');
    const range = RangeRequest.decode(request);
    if (tookMs > SLOW_MS) {
      const endedMs = member.clock.now();
      const startedMs = endedMs - tookMs;
      reportSlowRead(member.durations, {
        range,
        isSerializable: range.serializable,
        found: readAtMs === undefined ? undefined : { count, revision },
        startedMs,
        agreedMs: 0,
        permittedMs: readAtMs === undefined ? 0 : startedMs + readAtMs,
        foundMs: readAtMs === undefined ? 0 : startedMs + foundAtMs,
        endedMs,
      });
    }
    if (tookMs <= slowCalls.thresholdMs) return;
    // The line has the number of keys and not the response, so its field `count` is enough.
    const response = count === 0 ? EMPTY : Buffer.from([COUNT_TAG, count]);
    const { path } = KV.methods.range;
    slowCalls.report({
      path,
      peer,
      request,
      response: read.code === Status.OK ? response : undefined,
      responseBytes,
      tookMs,
    });
  }

  lend(recall: () => Promise<void>): StoreLoan {
    return this.#options.store.lend(recall);
  }

  /**
   * Whether threads can read without the state that the core has in memory: no permissions, no change that is partly
   * written, and a store that stays open.
   */
  get #isReadable(): boolean {
    const { auth, isReopening, store, cluster } = this.#options.member;
    return !auth.isEnabled && !isReopening && !store.isLarge && !cluster.isLocalLearner;
  }
}

/** Field 4 of RangeResponse. */
const COUNT_TAG = 0x20;
