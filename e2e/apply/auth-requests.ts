import type { SeededRandom } from '../../src/lib/seeded-random.ts';
import { Permission, PermissionType } from '../../src/wire/gen/authpb.ts';
import * as pb from '../../src/wire/gen/etcdserverpb.ts';

/** One request in two forms: as a log entry, and as a client sends it. */
export interface AuthStep {
  readonly entry: Partial<pb.InternalRaftRequest>;
  readonly path: string;
  readonly bytes: Buffer;
}

export const users = ['root', 'ann', 'bob', 'cyd', 'Ünal'] as const;
const roles = ['root', 'r1', 'r2', 'r3'];
const keys = ['a', 'b', 'c', 'aa', 'ab', 'b\0', '\xff', '\0', 'e'].map((key) => Buffer.from(key, 'latin1'));
const ends = ['', '', 'c', 'e', '\0', 'a', '\xff\xff', 'a\0', 'b\0\0', 'd'].map((end) =>
  Buffer.from(end, 'latin1'),
);

const AUTH = '/etcdserverpb.Auth/';
const KV = '/etcdserverpb.KV/';
const LEASE = '/etcdserverpb.Lease/';

/** Returns a random request that is subject to permissions. There are few names and ranges, so that they overlap. */
export function randomAuthStep(random: SeededRandom): AuthStep {
  const kinds = random.chance(0.5) ? ruleSteps : dataSteps;
  return random.pick(kinds)(random);
}

type MakeStep = (random: SeededRandom) => AuthStep;

const user = (random: SeededRandom): string => (random.chance(0.05) ? '' : random.pick(users));
const role = (random: SeededRandom): string => (random.chance(0.05) ? '' : random.pick(roles));

function addUser(random: SeededRandom): AuthStep {
  // A member hashes the password before it proposes. The responses do not depend on the hash.
  const authUserAdd = pb.AuthUserAddRequest.create({
    name: user(random),
    password: 'p',
    hashedPassword: 'cA==',
  });
  return { entry: { authUserAdd }, path: `${AUTH}UserAdd`, bytes: pb.AuthUserAddRequest.encode(authUserAdd) };
}

function deleteUser(random: SeededRandom): AuthStep {
  const authUserDelete = { name: user(random) };
  return {
    entry: { authUserDelete },
    path: `${AUTH}UserDelete`,
    bytes: pb.AuthUserDeleteRequest.encode(authUserDelete),
  };
}

function getUser(random: SeededRandom): AuthStep {
  const authUserGet = { name: user(random) };
  return { entry: { authUserGet }, path: `${AUTH}UserGet`, bytes: pb.AuthUserGetRequest.encode(authUserGet) };
}

function listUsers(): AuthStep {
  return { entry: { authUserList: {} }, path: `${AUTH}UserList`, bytes: Buffer.alloc(0) };
}

function grantRole(random: SeededRandom): AuthStep {
  const authUserGrantRole = { user: user(random), role: role(random) };
  const bytes = pb.AuthUserGrantRoleRequest.encode(authUserGrantRole);
  return { entry: { authUserGrantRole }, path: `${AUTH}UserGrantRole`, bytes };
}

function revokeRole(random: SeededRandom): AuthStep {
  const authUserRevokeRole = { name: user(random), role: role(random) };
  const bytes = pb.AuthUserRevokeRoleRequest.encode(authUserRevokeRole);
  return { entry: { authUserRevokeRole }, path: `${AUTH}UserRevokeRole`, bytes };
}

function addRole(random: SeededRandom): AuthStep {
  const authRoleAdd = { name: role(random) };
  return { entry: { authRoleAdd }, path: `${AUTH}RoleAdd`, bytes: pb.AuthRoleAddRequest.encode(authRoleAdd) };
}

function deleteRole(random: SeededRandom): AuthStep {
  const authRoleDelete = { role: role(random) };
  return {
    entry: { authRoleDelete },
    path: `${AUTH}RoleDelete`,
    bytes: pb.AuthRoleDeleteRequest.encode(authRoleDelete),
  };
}

function getRole(random: SeededRandom): AuthStep {
  const authRoleGet = { role: role(random) };
  return { entry: { authRoleGet }, path: `${AUTH}RoleGet`, bytes: pb.AuthRoleGetRequest.encode(authRoleGet) };
}

function grantPermission(random: SeededRandom): AuthStep {
  const permType = random.pick([PermissionType.READ, PermissionType.WRITE, PermissionType.READWRITE]);
  const at = random.int(keys.length);
  // One range per key, so that a role has at most a dozen permissions. With more, etcd orders equal keys randomly.
  const perm = Permission.create({
    permType,
    key: keys[at] ?? Buffer.alloc(0),
    rangeEnd: ends[at] ?? Buffer.alloc(0),
  });
  const authRoleGrantPermission = { name: role(random), perm: random.chance(0.95) ? perm : undefined };
  const bytes = pb.AuthRoleGrantPermissionRequest.encode(authRoleGrantPermission);
  return { entry: { authRoleGrantPermission }, path: `${AUTH}RoleGrantPermission`, bytes };
}

function revokePermission(random: SeededRandom): AuthStep {
  const authRoleRevokePermission = {
    role: role(random),
    key: random.pick(keys),
    rangeEnd: random.pick(ends),
  };
  const bytes = pb.AuthRoleRevokePermissionRequest.encode(authRoleRevokePermission);
  return { entry: { authRoleRevokePermission }, path: `${AUTH}RoleRevokePermission`, bytes };
}

function enable(): AuthStep {
  return { entry: { authEnable: {} }, path: `${AUTH}AuthEnable`, bytes: Buffer.alloc(0) };
}

function disable(random: SeededRandom): AuthStep {
  if (random.chance(0.8)) return enable();
  return { entry: { authDisable: {} }, path: `${AUTH}AuthDisable`, bytes: Buffer.alloc(0) };
}

function status(): AuthStep {
  return { entry: { authStatus: {} }, path: `${AUTH}AuthStatus`, bytes: Buffer.alloc(0) };
}

function randomPut(random: SeededRandom): pb.PutRequest {
  const lease = random.pick([0n, 0n, 11n]);
  return pb.PutRequest.create({
    key: random.pick(keys),
    value: Buffer.from('v'),
    prevKv: random.chance(0.3),
    lease,
  });
}

function randomDelete(random: SeededRandom): pb.DeleteRangeRequest {
  return { key: random.pick(keys), rangeEnd: random.pick(ends), prevKv: random.chance(0.3) };
}

function put(random: SeededRandom): AuthStep {
  const request = randomPut(random);
  return { entry: { put: request }, path: `${KV}Put`, bytes: pb.PutRequest.encode(request) };
}

function deleteRange(random: SeededRandom): AuthStep {
  const request = randomDelete(random);
  return {
    entry: { deleteRange: request },
    path: `${KV}DeleteRange`,
    bytes: pb.DeleteRangeRequest.encode(request),
  };
}

function range(random: SeededRandom): AuthStep {
  const request = pb.RangeRequest.create({ key: random.pick(keys), rangeEnd: random.pick(ends) });
  return { entry: { range: request }, path: `${KV}Range`, bytes: pb.RangeRequest.encode(request) };
}

function randomOp(random: SeededRandom, depth: number): pb.RequestOp {
  const kind = random.int(depth < 2 ? 4 : 3);
  if (kind === 0) return { request: { case: 'requestPut', value: randomPut(random) } };
  if (kind === 1) return { request: { case: 'requestDeleteRange', value: randomDelete(random) } };
  if (kind === 3) return { request: { case: 'requestTxn', value: randomTxn(random, depth + 1) } };
  const value = pb.RangeRequest.create({ key: random.pick(keys), rangeEnd: random.pick(ends) });
  return { request: { case: 'requestRange', value } };
}

function randomTxn(random: SeededRandom, depth: number): pb.TxnRequest {
  const ops = (): pb.RequestOp[] => Array.from({ length: random.int(3) }, () => randomOp(random, depth));
  const compare = pb.Compare.create({ key: random.pick(keys), rangeEnd: random.pick(ends) });
  return { compare: random.chance(0.4) ? [compare] : [], success: ops(), failure: ops() };
}

function txn(random: SeededRandom): AuthStep {
  const request = randomTxn(random, 0);
  return { entry: { txn: request }, path: `${KV}Txn`, bytes: pb.TxnRequest.encode(request) };
}

function grantLease(): AuthStep {
  const leaseGrant = { id: 11n, ttl: 500 };
  return {
    entry: { leaseGrant },
    path: `${LEASE}LeaseGrant`,
    bytes: pb.LeaseGrantRequest.encode(leaseGrant),
  };
}

function revokeLease(): AuthStep {
  const leaseRevoke = { id: 11n };
  return {
    entry: { leaseRevoke },
    path: `${LEASE}LeaseRevoke`,
    bytes: pb.LeaseRevokeRequest.encode(leaseRevoke),
  };
}

const ruleSteps: readonly MakeStep[] = [
  addUser,
  addUser,
  deleteUser,
  getUser,
  listUsers,
  grantRole,
  grantRole,
  revokeRole,
  addRole,
  deleteRole,
  getRole,
  grantPermission,
  grantPermission,
  grantPermission,
  revokePermission,
  enable,
  disable,
  status,
];
const dataSteps: readonly MakeStep[] = [
  put,
  put,
  deleteRange,
  range,
  range,
  txn,
  txn,
  grantLease,
  revokeLease,
];
