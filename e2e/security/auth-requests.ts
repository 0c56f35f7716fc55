import type { SeededRandom } from '../../src/lib/seeded-random.ts';
import { Permission, UserAddOptions } from '../../src/wire/gen/authpb.ts';
import {
  AuthenticateRequest,
  AuthDisableRequest,
  AuthEnableRequest,
  AuthRoleAddRequest,
  AuthRoleDeleteRequest,
  AuthRoleGetRequest,
  AuthRoleGrantPermissionRequest,
  AuthRoleListRequest,
  AuthRoleRevokePermissionRequest,
  AuthStatusRequest,
  AuthUserAddRequest,
  AuthUserChangePasswordRequest,
  AuthUserDeleteRequest,
  AuthUserGetRequest,
  AuthUserGrantRoleRequest,
  AuthUserListRequest,
  AuthUserRevokeRoleRequest,
  Compare,
  CompactionRequest,
  DeleteRangeRequest,
  LeaseGrantRequest,
  LeaseLeasesRequest,
  LeaseRevokeRequest,
  LeaseTimeToLiveRequest,
  AlarmRequest,
  MemberListRequest,
  PutRequest,
  RangeRequest,
  type RequestOp,
  TxnRequest,
} from '../../src/wire/gen/etcdserverpb.ts';
import { Auth, Cluster, KV, Lease, Maintenance } from '../../src/wire/services.ts';
import type { Method } from '../harness/rpc-client.ts';

/** One request of a random run. */
export interface AuthStep {
  readonly label: string;
  readonly method: Method<unknown, unknown>;
  readonly request: unknown;
}

const USERS = ['alice', 'bob', 'carol', 'root', ''];
/** Many, since a role of more than twelve permissions is one whose order etcd does not keep. */
const ROLES = ['r0', 'r1', 'r2', 'r3', 'r4', 'r5', 'r6', 'r7', 'root', ''];
const KEYS = ['', '\0', 'a', 'ab', 'b', 'c', 'd', 'e', 'f', '\xff', '\xff\xff'];
const ENDS = ['', '', '', '\0', 'b', 'c', 'd', 'e', 'f', 'g', '\xff'];

/** Users, roles, permissions, and requests at the edges of what they permit. */
export class AuthRequestMaker {
  readonly #random: SeededRandom;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  next(): AuthStep {
    const roll = this.#random.int(100);
    if (roll < 30) return this.#change();
    if (roll < 40) return this.#question();
    if (roll < 46) return this.#lease();
    if (roll < 48) return this.#admin();
    return this.#keyValue();
  }

  #keyValue(): AuthStep {
    const random = this.#random;
    switch (random.int(4)) {
      case 0:
        return step('put', KV.methods.put, this.#put());
      case 1:
        return step('range', KV.methods.range, this.#range());
      case 2:
        return step('delete', KV.methods.deleteRange, this.#delete());
      default:
        return step('txn', KV.methods.txn, this.#txn(2));
    }
  }

  #change(): AuthStep {
    const random = this.#random;
    const { methods } = Auth;
    const name = random.pick(USERS);
    const role = random.pick(ROLES);
    switch (random.int(12)) {
      case 0:
        return step(
          'user add',
          methods.userAdd,
          AuthUserAddRequest.create({ name, password: name, ...this.#noPassword() }),
        );
      case 1:
        return random.chance(0.3)
          ? step('user delete', methods.userDelete, AuthUserDeleteRequest.create({ name }))
          : this.#login();
      case 2:
        return random.chance(0.3)
          ? step(
              'password',
              methods.userChangePassword,
              AuthUserChangePasswordRequest.create({ name, password: name }),
            )
          : this.#login();
      case 3:
      case 4:
        return step(
          'grant role',
          methods.userGrantRole,
          AuthUserGrantRoleRequest.create({ user: name, role }),
        );
      case 5:
        return step('revoke role', methods.userRevokeRole, AuthUserRevokeRoleRequest.create({ name, role }));
      case 6:
        return step('role add', methods.roleAdd, AuthRoleAddRequest.create({ name: role }));
      case 7:
        return step('role delete', methods.roleDelete, AuthRoleDeleteRequest.create({ role }));
      case 8:
      case 9:
      case 10:
        return step(
          'grant',
          methods.roleGrantPermission,
          AuthRoleGrantPermissionRequest.create(this.#grant(role)),
        );
      default:
        return step(
          'revoke',
          methods.roleRevokePermission,
          AuthRoleRevokePermissionRequest.create({ role, key: this.#key(), rangeEnd: this.#end() }),
        );
    }
  }

  #login(): AuthStep {
    const name = this.#random.pick(USERS);
    const password = this.#random.chance(0.8) ? name : 'wrong';
    return step('login', Auth.methods.authenticate, AuthenticateRequest.create({ name, password }));
  }

  #question(): AuthStep {
    const { methods } = Auth;
    const name = this.#random.pick(USERS);
    switch (this.#random.int(5)) {
      case 0:
        return step('user get', methods.userGet, AuthUserGetRequest.create({ name }));
      case 1:
        return step(
          'role get',
          methods.roleGet,
          AuthRoleGetRequest.create({ role: this.#random.pick(ROLES) }),
        );
      case 2:
        return step('user list', methods.userList, AuthUserListRequest.create());
      case 3:
        return step('role list', methods.roleList, AuthRoleListRequest.create());
      default:
        return step('status', methods.authStatus, AuthStatusRequest.create());
    }
  }

  #lease(): AuthStep {
    const id = BigInt(1 + this.#random.int(3));
    const { methods } = Lease;
    switch (this.#random.int(4)) {
      case 0:
        return step('lease grant', methods.leaseGrant, LeaseGrantRequest.create({ id, ttl: 3600 }));
      case 1:
        return step('lease revoke', methods.leaseRevoke, LeaseRevokeRequest.create({ id }));
      case 2:
        return step('leases', methods.leaseLeases, LeaseLeasesRequest.create());
      default:
        return step(
          'time to live',
          methods.leaseTimeToLive,
          LeaseTimeToLiveRequest.create({ id, keys: true }),
        );
    }
  }

  #admin(): AuthStep {
    switch (this.#random.int(5)) {
      case 0:
        return step('disable', Auth.methods.authDisable, AuthDisableRequest.create());
      case 1:
        return step(
          'compact',
          KV.methods.compact,
          CompactionRequest.create({ revision: 1 + this.#random.int(30) }),
        );
      case 2:
        return step('alarm', Maintenance.methods.alarm, AlarmRequest.create());
      case 3:
        return step('members', Cluster.methods.memberList, MemberListRequest.create());
      default:
        return step('enable', Auth.methods.authEnable, AuthEnableRequest.create());
    }
  }

  #put(): PutRequest {
    const random = this.#random;
    return PutRequest.create({
      key: this.#key(),
      value: Buffer.from(`v${random.int(10)}`),
      lease: random.chance(0.2) ? BigInt(1 + random.int(3)) : 0n,
      prevKv: random.chance(0.3),
    });
  }

  #range(): RangeRequest {
    return RangeRequest.create({
      key: this.#key(),
      rangeEnd: this.#end(),
      serializable: this.#random.chance(0.3),
      countOnly: this.#random.chance(0.1),
    });
  }

  #delete(): DeleteRangeRequest {
    return DeleteRangeRequest.create({
      key: this.#key(),
      rangeEnd: this.#random.chance(0.7) ? Buffer.alloc(0) : this.#end(),
      prevKv: this.#random.chance(0.4),
    });
  }

  #txn(depth: number): TxnRequest {
    const random = this.#random;
    const ops = (): RequestOp[] => Array.from({ length: random.int(3) }, () => this.#op(depth));
    const compare = Array.from({ length: random.int(2) }, () =>
      Compare.create({ key: this.#key(), rangeEnd: random.chance(0.3) ? this.#end() : Buffer.alloc(0) }),
    );
    return TxnRequest.create({ compare, success: ops(), failure: ops() });
  }

  #op(depth: number): RequestOp {
    switch (this.#random.int(depth > 0 ? 4 : 3)) {
      case 0:
        return { request: { case: 'requestPut', value: this.#put() } };
      case 1:
        return { request: { case: 'requestRange', value: this.#range() } };
      case 2:
        return { request: { case: 'requestDeleteRange', value: this.#delete() } };
      default:
        return { request: { case: 'requestTxn', value: this.#txn(depth - 1) } };
    }
  }

  #grant(role: string): Partial<AuthRoleGrantPermissionRequest> {
    const permType = this.#random.pick([0, 1, 2] as const);
    return {
      name: role,
      perm: this.#random.chance(0.03)
        ? undefined
        : Permission.create({ permType, key: this.#key(), rangeEnd: this.#end() }),
    };
  }

  #noPassword(): { options?: UserAddOptions } {
    return this.#random.chance(0.15) ? { options: UserAddOptions.create({ noPassword: true }) } : {};
  }

  #key(): Buffer {
    return Buffer.from(this.#random.pick(KEYS), 'latin1');
  }

  #end(): Buffer {
    return Buffer.from(this.#random.pick(ENDS), 'latin1');
  }
}

function step<Q, R>(label: string, method: Method<Q, R>, request: Q): AuthStep {
  return { label, method: method, request };
}
