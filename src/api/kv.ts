import { putCost, txnCost } from '../apply/quota.ts';
import {
  checkDelete,
  checkPut,
  checkRange,
  checkTxn,
  isReadonlyTxn,
  isSerializableTxn,
} from '../apply/checks.ts';
import { checkTxnAllowed } from '../apply/auth-checks.ts';
import { rangeOptions, refuseRevision } from '../apply/kv-context.ts';
import { isError } from '../apply/results.ts';
import { readTxnAt } from '../apply/read-txn.ts';
import { type AuthInfo, NOBODY } from '../auth/auth-store.ts';
import { runSteps } from '../lib/steps.ts';
import { Status } from '../grpc/status.ts';
import type { UnaryCall } from '../grpc/unary-call.ts';
import type { Member } from '../server/member.ts';
import { RaftRequestField } from '../server/raft-request.ts';
import { type EtcdError, errors } from '../wire/errors.ts';
import { type CompactionRequest, type RangeRequest, type TxnRequest } from '../wire/gen/etcdserverpb.ts';
import { KV } from '../wire/services.ts';
import { runYielding } from '../server/run-yielding.ts';
import { answerRange } from './range-response.ts';
import { registerRangeStream } from './range-stream.ts';
import { failCall, type ServiceContext } from './service-context.ts';

/** The KV service. */
export function registerKv(context: ServiceContext): void {
  const { member } = context;
  const { methods } = KV;

  context.unary(
    methods.range,
    (call, request) => {
      if (!request.serializable) refuse(refuseLearner(member));
      refuse(checkRange(request));
      timeRead(member, call, 'Range');
      if (request.serializable) range(context, call, request);
      else afterConsensus(context, call, () => range(context, call, request));
    },
    { learner: true },
  );

  context.unary(methods.put, (call, request, bytes) => {
    refuse(checkPut(request));
    withQuota(context, call, putCost(request.key.length, request.value.length), () =>
      context.asCaller(call, (who) => context.propose(call, RaftRequestField.put, bytes, who)),
    );
  });

  context.unary(methods.deleteRange, (call, request, bytes) => {
    refuse(checkDelete(request));
    context.asCaller(call, (who) => context.propose(call, RaftRequestField.deleteRange, bytes, who));
  });

  context.unary(
    methods.txn,
    (call, request, bytes) => {
      if (member.cluster.isLocalLearner && !isReadonlyTxn(request)) throw errors.NotSupportedForLearner;
      refuse(checkTxn(request, member.config.maxTxnOps));
      member.metrics.mvcc.txnTotal++;
      if (isReadonlyTxn(request)) {
        timeRead(member, call, 'ReadonlyTxn');
        if (isSerializableTxn(request)) readTxn(context, call, request);
        else afterConsensus(context, call, () => readTxn(context, call, request));
        return;
      }
      withQuota(context, call, txnCost(request), () =>
        context.asCaller(call, (who) => context.propose(call, RaftRequestField.txn, bytes, who)),
      );
    },
    { learner: member.config.learnerReads },
  );

  context.unary(methods.compact, (call, request, bytes) => {
    context.asCaller(call, (who) => compact(context, call, { request, bytes, who }));
  });

  registerRangeStream(context);
}

function timeRead({ clock, durations }: Member, call: UnaryCall, name: 'Range' | 'ReadonlyTxn'): void {
  const startedMs = clock.now();
  call.onEnded = () => durations.read(name, (clock.now() - startedMs) / 1000, call.endCode === Status.OK);
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

function range(context: ServiceContext, call: UnaryCall, request: RangeRequest): void {
  context.asCaller(call, (who) => {
    const { member } = context;
    const caller = who ?? NOBODY;
    refuse(member.auth.checkRange(caller, request.key, request.rangeEnd));
    refuse(member.auth.checkCurrent(caller));
    const refused = refuseRevision(member.store, request.revision);
    if (refused !== undefined) member.durations.range(0, false);
    refuse(refused);
    answerRange(context, call, rangeOptions(request), caller);
  });
}

function readTxn(context: ServiceContext, call: UnaryCall, request: TxnRequest): void {
  context.asCaller(call, (who) => {
    const { member } = context;
    const caller = who ?? NOBODY;
    refuse(runSteps(checkTxnAllowed(member, caller, request)));
    refuse(member.auth.checkCurrent(caller));
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
        context.answer(call, result);
      },
      failed: (error) => {
        hold.release();
        failCall(call, error);
      },
    });
  });
}

/** The earliest revision that a read-only transaction reads. */
function earliestRevision({ success, failure }: TxnRequest, present: number): number {
  let earliest = present;
  for (const { request: op } of [...success, ...failure])
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
  member.propose(RaftRequestField.compaction, bytes, who, {
    settled: (result) => {
      if (isError(result) || result.compacting === undefined || !request.physical)
        context.answer(call, result);
      else member.compactor.whenDone(result.compacting, () => context.answer(call, result));
    },
    failed: (error) => failCall(call, error),
  });
}
