import { putCost, txnCost } from '../apply/quota.ts';
import {
  checkDelete,
  checkPut,
  checkRange,
  checkTxnInSteps,
  isReadonlyTxn,
  isSerializableTxn,
} from '../apply/checks.ts';
import { checkTxnAllowed } from '../apply/auth-checks.ts';
import { rangeOptions, refuseRevision } from '../apply/kv-context.ts';
import { isError } from '../apply/results.ts';
import { readTxnAt } from '../apply/read-txn.ts';
import { type AuthInfo, NOBODY } from '../auth/auth-store.ts';
import type { UnaryCall } from '../grpc/unary-call.ts';
import type { Member } from '../server/member.ts';
import { RaftRequestField } from '../server/raft-request.ts';
import type { Detail, Step } from '../server/slow-requests.ts';
import { type EtcdError, errors } from '../wire/errors.ts';
import { type CompactionRequest, type RangeRequest, type TxnRequest } from '../wire/gen/etcdserverpb.ts';
import { KV } from '../wire/services.ts';
import { runYielding } from '../server/run-yielding.ts';
import { answerRange } from './range-response.ts';
import { registerRangeStream } from './range-stream.ts';
import { failCall, PROPOSAL_SENT, RESULT_RECEIVED, type ServiceContext } from './service-context.ts';
import { PROCESSED, responseCount } from './slow-proposals.ts';
import { TimedRead } from './timed-read.ts';
import { traceCompaction, traceDelete, tracePut, traceRange, traceTxn } from './traced-operations.ts';

/** The KV service. */
export function registerKv(context: ServiceContext): void {
  const { member } = context;
  const { methods } = KV;

  context.unary(
    methods.range,
    (call, request) => {
      if (!request.serializable) refuse(refuseLearner(member));
      refuse(checkRange(request));
      traceRange(call, request);
      const timed = new TimedRead(member, call, { range: request, isSerializable: request.serializable });
      if (request.serializable) range(context, call, request, timed);
      else afterConsensus(context, call, () => range(context, call, request, timed));
    },
    { learner: true },
  );

  context.unary(methods.put, (call, request, bytes) => {
    refuse(checkPut(request));
    withQuota(context, call, putCost(request.key.length, request.value.length), () => {
      tracePut(call, request.key);
      context.asCaller(call, (who) => context.propose(call, RaftRequestField.put, bytes, who));
    });
  });

  context.unary(methods.deleteRange, (call, request, bytes) => {
    refuse(checkDelete(request));
    traceDelete(call, request.key, request.rangeEnd);
    context.asCaller(call, (who) => context.propose(call, RaftRequestField.deleteRange, bytes, who));
  });

  context.unary(
    methods.txn,
    (call, request, bytes) => {
      if (member.cluster.isLocalLearner && !isReadonlyTxn(request)) throw errors.NotSupportedForLearner;
      context.inSteps(call, bytes, checkTxnInSteps(request, member.config.maxTxnOps), (error) => {
        refuse(error);
        member.metrics.mvcc.txnTotal++;
        if (isReadonlyTxn(request)) {
          traceTxn(call, request);
          const isSerializable = isSerializableTxn(request);
          const timed = new TimedRead(member, call, { isSerializable });
          const read = (): void => readTxn(context, call, { request, bytes }, timed);
          if (isSerializable) read();
          else afterConsensus(context, call, read);
          return;
        }
        withQuota(context, call, txnCost(request), () => {
          traceTxn(call, request);
          context.asCaller(call, (who) => context.propose(call, RaftRequestField.txn, bytes, who));
        });
      });
    },
    { learner: member.config.learnerReads, mostItems: member.config.maxTxnOps + 1 },
  );

  context.unary(methods.compact, (call, request, bytes) => {
    traceCompaction(call, request);
    context.asCaller(call, (who) => compact(context, call, { request, bytes, who }));
  });

  registerRangeStream(context);
}

function refuse(error: EtcdError | undefined): void {
  if (error !== undefined) throw error;
}

/** As in etcd, a learner answers only serializable reads. */
function refuseLearner({ cluster, config }: Member): EtcdError | undefined {
  return cluster.isLocalLearner && !config.learnerReads ? errors.NotSupportedForLearner : undefined;
}

/** Calls `next` when the read sees every write that was acknowledged before it began. */
export function afterConsensus(context: ServiceContext, call: UnaryCall, next: () => void): void {
  call.onCancel = context.member.read({
    readable: () => {
      call.onCancel = undefined;
      try {
        next();
      } catch (error) {
        failCall(call, error);
      }
    },
    failed: (error) => failCall(call, error),
  });
}

/**
 * Checks the quota before the proposal, so that requests to a full store do not fill the raft log. The alarm is
 * raised before the error is sent.
 */
export function withQuota(context: ServiceContext, call: UnaryCall, cost: number, next: () => void): void {
  const { member } = context;
  if (member.quota.fits(cost)) next();
  else member.spaceAlarm.raise(() => call.fail(errors.NoSpace.code, errors.NoSpace.message));
}

function range(context: ServiceContext, call: UnaryCall, request: RangeRequest, timed: TimedRead): void {
  if (context.member.auth.isEnabled) timed.agreed();
  context.asCaller(call, (who) => {
    const { member } = context;
    const caller = who ?? NOBODY;
    refuse(member.auth.checkRange(caller, request.key, request.rangeEnd));
    refuse(member.auth.checkCurrent(caller));
    const refused = refuseRevision(member.store, request.revision);
    if (refused !== undefined) member.durations.range(0, false);
    refuse(refused);
    answerRange(context, call, { options: rangeOptions(request), caller, timed });
  });
}

interface ReadOnlyTxn {
  readonly request: TxnRequest;
  readonly bytes: Buffer;
}

function readTxn(context: ServiceContext, call: UnaryCall, txn: ReadOnlyTxn, timed: TimedRead): void {
  const { member } = context;
  if (member.auth.isEnabled) timed.agreed();
  context.asCaller(call, (who) => {
    const caller = who ?? NOBODY;
    context.inSteps(call, txn.bytes, checkTxnAllowed(member, caller, txn.request), (denied) => {
      refuse(denied);
      refuse(member.auth.checkCurrent(caller));
      timed.permitted();
      readAllowedTxn(context, call, { request: txn.request, caller, timed });
    });
  });
}

interface AllowedTxn {
  readonly request: TxnRequest;
  readonly caller: AuthInfo;
  readonly timed: TimedRead;
}

function readAllowedTxn(
  context: ServiceContext,
  call: UnaryCall,
  { request, caller, timed }: AllowedTxn,
): void {
  const { member } = context;
  const { revision } = member.store;
  const hold = member.compactor.hold(earliestRevision(request, revision));
  runYielding(member.longReads, readTxnAt(member.store, request, revision), {
    isOver: () => {
      if (call.ended) hold.release();
      return call.ended;
    },
    done: (result) => {
      hold.release();
      refuse(member.auth.checkCurrent(caller));
      if (isError(result)) throw result;
      timed.found({ count: responseCount(request, result), revision: result.revision });
      context.answer(call, result);
    },
    failed: (error) => {
      hold.release();
      failCall(call, error);
    },
  });
}

/** The earliest revision that a read-only transaction reads. */
function earliestRevision({ success, failure }: TxnRequest, present: number): number {
  let earliest = present;
  for (const ops of [success, failure])
    for (const { request: op } of ops)
      if (op?.case === 'requestRange' && op.value.revision > 0)
        earliest = Math.min(earliest, op.value.revision);
  return earliest;
}

interface Compaction {
  readonly request: CompactionRequest;
  readonly bytes: Buffer;
  readonly who: AuthInfo | undefined;
}

function compact(context: ServiceContext, call: UnaryCall, { request, bytes, who }: Compaction): void {
  const { member } = context;
  refuse(member.auth.checkAdmin(who ?? NOBODY));
  call.trace?.event(PROPOSAL_SENT);
  const { slowRequests } = member.durations;
  const startedMs = slowRequests.now();
  member.propose(RaftRequestField.compaction, bytes, who, {
    settled: (result) => {
      call.trace?.event(RESULT_RECEIVED);
      if (isError(result)) {
        context.answer(call, result);
        return;
      }
      const steps: Step[] = [
        [PROCESSED, member.durations.applyBeganMs],
        ['check and update compact revision', slowRequests.now()],
      ];
      const answer = (): void => {
        const endedMs = slowRequests.now();
        if (request.physical) steps.push(['physically toApply compaction', endedMs]);
        const detail: Detail = [
          ['revision', request.revision],
          ['response_revision', result.revision],
        ];
        slowRequests.report({ operation: 'compact', detail, startedMs, endedMs, steps });
        context.answer(call, result);
      };
      if (result.compacting === undefined || !request.physical) answer();
      else member.compactor.whenDone(result.compacting, answer);
    },
    failed: (error) => failCall(call, error),
  });
}
