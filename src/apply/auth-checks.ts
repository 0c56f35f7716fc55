import type { AuthInfo, AuthStore } from '../auth/auth-store.ts';
import type { Steps } from '../lib/steps.ts';
import { type Lessor, NO_LEASE } from '../lease/lessor.ts';
import type { EtcdError } from '../wire/errors.ts';
import type {
  DeleteRangeRequest,
  InternalRaftRequest,
  PutRequest,
  RequestOp,
  TxnRequest,
} from '../wire/gen/etcdserverpb.ts';
import { EMPTY } from '../wire/reader.ts';

/** How many keys are checked in one step. */
const KEYS_PER_STEP = 256;
/** How many operations of a transaction are checked in one step. */
const OPS_PER_STEP = 64;

/** What the permission checks need. */
export interface AuthContext {
  readonly auth: AuthStore;
  readonly lessor: Lessor;
}

type PutSubject = Pick<PutRequest, 'key' | 'lease' | 'prevKv'>;

/**
 * A put needs write permission for the key, read permission if it returns the previous value, and write permission
 * for all keys of its lease. The last is needed because a lease deletes all its keys.
 *
 * @param allowedLeases those checked before for the same request; it gets this one too
 */
export function* checkPutAllowed(
  context: AuthContext,
  who: AuthInfo,
  request: PutSubject,
  allowedLeases?: Set<bigint>,
): Steps<EtcdError | undefined> {
  const { auth } = context;
  if (!auth.isEnabled) return undefined;
  const refused = auth.checkPut(who, request.key);
  if (refused !== undefined) return refused;
  if (request.lease !== NO_LEASE && allowedLeases?.has(request.lease) !== true) {
    const denied = yield* checkLeaseKeysWritable(context, who, request.lease);
    if (denied !== undefined) return denied;
    allowedLeases?.add(request.lease);
  }
  return request.prevKv ? auth.checkRange(who, request.key, EMPTY) : undefined;
}

export function checkDeleteAllowed(
  context: AuthContext,
  who: AuthInfo,
  request: DeleteRangeRequest,
): EtcdError | undefined {
  const { auth } = context;
  return (
    auth.checkDeleteRange(who, request.key, request.rangeEnd) ??
    (request.prevKv ? auth.checkRange(who, request.key, request.rangeEnd) : undefined)
  );
}

/** Checks all compares and both branches, taken or not, at any depth. */
export function* checkTxnAllowed(
  context: AuthContext,
  who: AuthInfo,
  request: TxnRequest,
  allowedLeases = new Set<bigint>(),
): Steps<EtcdError | undefined> {
  const { auth } = context;
  if (!auth.isEnabled) return undefined;
  for (const [at, { key, rangeEnd }] of request.compare.entries()) {
    if (at % OPS_PER_STEP === OPS_PER_STEP - 1) yield;
    const error = auth.checkRange(who, key, rangeEnd);
    if (error !== undefined) return error;
  }
  for (const ops of [request.success, request.failure]) {
    for (const [at, { request: op }] of ops.entries()) {
      if (at % OPS_PER_STEP === OPS_PER_STEP - 1) yield;
      const error = yield* checkOpAllowed(context, who, op, allowedLeases);
      if (error !== undefined) return error;
    }
  }
  return undefined;
}

function* checkOpAllowed(
  context: AuthContext,
  who: AuthInfo,
  request: RequestOp['request'],
  allowedLeases: Set<bigint>,
): Steps<EtcdError | undefined> {
  switch (request?.case) {
    case 'requestRange':
      return context.auth.checkRange(who, request.value.key, request.value.rangeEnd);
    case 'requestPut':
      return yield* checkPutAllowed(context, who, request.value, allowedLeases);
    case 'requestDeleteRange':
      return checkDeleteInTxnAllowed(context, who, request.value);
    case 'requestTxn':
      return yield* checkTxnAllowed(context, who, request.value, allowedLeases);
    case undefined:
      return undefined;
  }
}

/** Both checks give the same kinds of errors. Here etcd checks the read permission first, in a plain delete last. */
function checkDeleteInTxnAllowed(
  context: AuthContext,
  who: AuthInfo,
  request: DeleteRangeRequest,
): EtcdError | undefined {
  const { auth } = context;
  return (
    (request.prevKv ? auth.checkRange(who, request.key, request.rangeEnd) : undefined) ??
    auth.checkDeleteRange(who, request.key, request.rangeEnd)
  );
}

/** For revoking a lease or attaching a key to it. */
export function checkLeaseKeysWritable(
  context: AuthContext,
  who: AuthInfo,
  leaseId: bigint,
): Steps<EtcdError | undefined> {
  return checkLeaseKeys(context, who, leaseId, (key) => context.auth.checkPut(who, key));
}

/** For listing a lease's keys. */
export function checkLeaseKeysReadable(
  context: AuthContext,
  who: AuthInfo,
  leaseId: bigint,
): Steps<EtcdError | undefined> {
  return checkLeaseKeys(context, who, leaseId, (key) => context.auth.checkRange(who, key, EMPTY));
}

/**
 * A missing lease is refused when the request is applied. For a user that may do everything, single keys are not
 * checked.
 */
function* checkLeaseKeys(
  { auth, lessor }: AuthContext,
  who: AuthInfo,
  leaseId: bigint,
  check: (key: Buffer) => EtcdError | undefined,
): Steps<EtcdError | undefined> {
  if (!auth.isEnabled || lessor.lookup(leaseId) === undefined) return undefined;
  if (auth.checkAdmin(who) === undefined) return undefined;
  const keys = yield* lessor.keysOf(leaseId);
  for (const [at, key] of keys.entries()) {
    if (at % KEYS_PER_STEP === KEYS_PER_STEP - 1) yield;
    const error = check(key);
    if (error !== undefined) return error;
  }
  return undefined;
}
/**
 * Requests that need the root role. Users may read their own user and roles, so those two requests are not listed.
 */
export function needsAdmin(request: InternalRaftRequest): boolean {
  return (
    request.authEnable !== undefined ||
    request.authDisable !== undefined ||
    request.authUserAdd !== undefined ||
    request.authUserDelete !== undefined ||
    request.authUserChangePassword !== undefined ||
    request.authUserGrantRole !== undefined ||
    request.authUserRevokeRole !== undefined ||
    request.authRoleAdd !== undefined ||
    request.authRoleGrantPermission !== undefined ||
    request.authRoleRevokePermission !== undefined ||
    request.authRoleDelete !== undefined ||
    request.authUserList !== undefined ||
    request.authRoleList !== undefined
  );
}
