import { checkLeaseKeysReadable, checkLeaseKeysWritable } from '../apply/auth-checks.ts';
import { LEASE_GRANT_COST } from '../apply/quota.ts';
import { type AuthInfo, NOBODY } from '../auth/auth-store.ts';
import type { StreamCall } from '../grpc/stream-call.ts';
import type { UnaryCall } from '../grpc/unary-call.ts';
import type { Steps } from '../lib/steps.ts';
import { RaftRequestField } from '../server/raft-request.ts';
import { errors } from '../wire/errors.ts';
import {
  LeaseGrantRequest,
  LeaseKeepAliveRequest,
  LeaseKeepAliveResponse,
  LeaseLeasesResponse,
  LeaseTimeToLiveResponse,
  type LeaseTimeToLiveRequest,
} from '../wire/gen/etcdserverpb.ts';
import { Lease } from '../wire/services.ts';
import { withQuota } from './kv.ts';
import type { LeaderMonitor } from './leader-monitor.ts';
import type { Leases } from '../server/leases.ts';
import { runYielding } from '../server/run-yielding.ts';
import { failCall, type ServiceContext } from './service-context.ts';
import { traceGrant, traceRenewal, traceRevoke } from './traced-operations.ts';
import { admitStream, endStream, streamIdentity, endWithoutLeader } from './stream-calls.ts';

/** The Lease service. */
export function registerLease(context: ServiceContext, leases: Leases, leaders: LeaderMonitor): void {
  const { member } = context;
  const { methods } = Lease;

  context.unary(methods.leaseGrant, (call, request, bytes) => {
    withQuota(context, call, LEASE_GRANT_COST, () => {
      const id = request.id === 0n ? member.ids.leaseId() : request.id;
      traceGrant(call, id, request.ttl);
      context.asCaller(call, (who) => {
        requireUser(context, who);
        const body = request.id === 0n ? LeaseGrantRequest.encode({ ...request, id }) : bytes;
        context.propose(call, RaftRequestField.leaseGrant, body, who);
      });
    });
  });

  context.unary(methods.leaseRevoke, (call, request, bytes) => {
    traceRevoke(call, request.id);
    context.asCaller(call, (who) => {
      requireUser(context, who);
      context.propose(call, RaftRequestField.leaseRevoke, bytes, who);
    });
  });

  context.unary(methods.leaseTimeToLive, (call, request) => {
    context.asCaller(call, (who) => {
      requireUser(context, who);
      const answer = (): void => answerTimeToLive(context, call, { request, leases, who });
      if (!request.keys) answer();
      else
        runYielding(member.longReads, checkKeys(context, request.id, who, checkLeaseKeysReadable), {
          isOver: () => call.ended,
          failed: (error) => failCall(call, error),
          done: answer,
        });
    });
  });

  context.unary(methods.leaseLeases, (call) => {
    context.asCaller(call, (who) => {
      if (member.auth.isEnabled) requireUser(context, who);
      runYielding(member.longReads, listLeases(context, who), {
        isOver: () => call.ended,
        failed: (error) => failCall(call, error),
        done: (parts) => call.respond([context.header(), ...parts]),
      });
    });
  });

  context.server.stream(methods.leaseKeepAlive, (call) => keepAlive(context, call, { leases, leaders }));
}

function requireUser({ member }: ServiceContext, who: AuthInfo | undefined): void {
  if (member.auth.isEnabled && who === undefined) throw errors.UserEmpty;
}

/**
 * Lists all leases. With auth enabled, the caller must be allowed to read the keys of each. @returns
 * LeaseLeasesResponse after its header, in parts
 */
function* listLeases(context: ServiceContext, who: AuthInfo | undefined): Steps<Buffer[]> {
  const leases = yield* context.member.lessor.list();
  const isChecked = context.member.auth.isEnabled;
  const parts: Buffer[] = [];
  const perStep = isChecked ? CHECKED_PER_STEP : LEASES_PER_STEP;
  for (let at = 0; at < leases.length; at += perStep) {
    if (at > 0) yield;
    const part = leases.slice(at, at + perStep);
    if (isChecked) for (const { id } of part) yield* checkKeys(context, id, who, checkLeaseKeysReadable);
    parts.push(LeaseLeasesResponse.encode({ header: undefined, leases: part }));
  }
  return parts;
}

/** How many leases are encoded in one step, and how many if the keys of each are read. */
const LEASES_PER_STEP = 500;
const CHECKED_PER_STEP = 128;
type LeaseCheck = typeof checkLeaseKeysReadable;

/** The check that is also made when a request is applied, for requests that are not in the log. @throws EtcdError */
function* checkKeys(
  { member }: ServiceContext,
  id: bigint,
  who: AuthInfo | undefined,
  check: LeaseCheck,
): Steps<void> {
  const refused = yield* check(member, who ?? NOBODY, id);
  if (refused !== undefined) throw refused;
}

interface TimeToLive {
  readonly request: LeaseTimeToLiveRequest;
  readonly leases: Leases;
  readonly who: AuthInfo | undefined;
}

function answerTimeToLive(context: ServiceContext, call: UnaryCall, { request, leases }: TimeToLive): void {
  const { auth } = context.member;
  const authRevision = auth.revision;
  leases
    .timeToLive(request.id, request.keys)
    .then((found) => {
      if (request.keys && auth.isEnabled && auth.revision !== authRevision) throw errors.AuthOldRevision;
      const { ttl, grantedTtl, keys } = found ?? { ttl: -1, grantedTtl: 0, keys: [] };
      const response = { header: undefined, id: request.id, ttl, grantedTtl, keys: [...keys] };
      call.respond([context.header(), LeaseTimeToLiveResponse.encode(response)]);
    })
    .catch((error: unknown) => failCall(call, error));
}

interface KeepAlive {
  readonly leases: Leases;
  readonly leaders: LeaderMonitor;
}

/** Requests of one stream are answered in order. The next is read when the one before has been answered. */
function keepAlive(context: ServiceContext, call: StreamCall, { leases, leaders }: KeepAlive): void {
  if (!admitStream(context, call)) return;
  endWithoutLeader(leaders, call);
  let busy = false;
  let halfClosed = false;
  const waiting: Buffer[] = [];
  const next = (): void => {
    const bytes = waiting.shift();
    if (bytes === undefined) {
      busy = false;
      call.resume();
      if (halfClosed) call.end();
      return;
    }
    busy = true;
    call.pause();
    try {
      renewOnce(context, call, { leases, bytes, done: next });
    } catch (error) {
      endStream(call, error);
    }
  };
  call.onMessage = (bytes) => {
    waiting.push(bytes);
    if (!busy) next();
  };
  call.onHalfClose = () => {
    halfClosed = true;
    if (!busy) call.end();
  };
}

interface Renewal {
  readonly leases: Leases;
  readonly bytes: Buffer;
  readonly done: () => void;
}

function renewOnce(context: ServiceContext, call: StreamCall, { leases, bytes, done }: Renewal): void {
  const { id } = LeaseKeepAliveRequest.decode(bytes);
  // Taken before the renewal: the client must not see a revision at which the lease may already be gone.
  const header = context.header();
  const traced = traceRenewal(call, id);
  const answer = (ttl: number): void => {
    traced?.end();
    call.write([header, LeaseKeepAliveResponse.encode({ header: undefined, id, ttl })]);
    done();
  };
  const renew = (): void => {
    const renewed = leases.renewNow(id);
    if (renewed !== undefined) {
      answer(renewed);
      return;
    }
    leases
      .renew(id)
      .then((ttl) => {
        if (!call.ended) answer(ttl ?? 0);
      })
      .catch((error: unknown) => endStream(call, error));
  };
  streamIdentity(context, call, (who) => {
    requireUser(context, who);
    runYielding(context.member.longReads, checkKeys(context, id, who, checkLeaseKeysWritable), {
      isOver: () => call.ended,
      failed: (error) => endStream(call, error),
      done: renew,
    });
  });
}
