import type { SeededRandom } from '../../src/lib/seeded-random.ts';
import { Permission, UserAddOptions } from '../../src/wire/gen/authpb.ts';
import {
  AuthDisableRequest,
  AuthEnableRequest,
  AuthenticateRequest,
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
  LeaseGrantRequest,
  LeaseKeepAliveRequest,
  LeaseLeasesRequest,
  LeaseRevokeRequest,
  LeaseTimeToLiveRequest,
  WatchCreateRequest,
} from '../../src/wire/gen/etcdserverpb.ts';
import {
  CampaignRequest,
  type LeaderKey,
  LeaderRequest,
  ProclaimRequest,
  ResignRequest,
} from '../../src/wire/gen/v3electionpb.ts';
import { LockRequest, UnlockRequest } from '../../src/wire/gen/v3lockpb.ts';
import { Auth, Election, KV, Lease, Lock, Watch } from '../../src/wire/services.ts';
import type { Progress } from '../differential/requests.ts';
import { AuthAdminRequestMaker } from './auth-admin-requests.ts';
import { AuthKvRequestMaker } from './auth-kv-requests.ts';
import { type AuthStep, step } from './auth-step.ts';

/** The users that log in. `dave` mostly has no password, and `erin` often has the root role. */
export const USERS = ['root', 'alice', 'bob', 'carol', 'dave', 'erin'];
const NAMES = [...USERS, 'alice', 'bob', 'carol', '', 'nobody'];
/** Many, since a role of more than twelve permissions is one whose order etcd's sort does not keep. */
const ROLES = ['r0', 'r1', 'r2', 'r3', 'r4', 'r5', 'r6', 'r7', 'root', '', 'none'];
/** bcrypt hash of "root" at the lowest cost, as a client may send it, and an invalid hash. */
const HASHES = [
  Buffer.from('$2a$04$Hyhg7YdW3D7BxlkBZRcOp.2Pl7Ymbmn3bTMr0gQkpkn0PtXIVKSPq').toString('base64'),
  'eA==',
  'not base64',
];

/** Passwords a user may have, the likeliest first; the one of users without a password is never right. */
export function passwordsOf(name: string): string[] {
  return [name, `${name}-2`, ''];
}

/** Users, roles, permissions, and requests of all forms at the edges of what they permit. */
export class AuthRequestMaker {
  readonly #random: SeededRandom;
  readonly #kv: AuthKvRequestMaker;
  readonly #admin: AuthAdminRequestMaker;
  /** Of the last campaign. */
  #leader: LeaderKey | undefined;
  #recipes = 0;

  constructor(random: SeededRandom, progress: Progress) {
    this.#random = random;
    this.#kv = new AuthKvRequestMaker(random, progress);
    this.#admin = new AuthAdminRequestMaker(random, this.#kv);
  }

  /** What a campaign that was won gave: who proclaims and resigns needs it. */
  elected(leader: LeaderKey | undefined): void {
    this.#leader = leader;
  }

  next(): AuthStep {
    const roll = this.#random.int(1000);
    if (roll < 200) return this.#change();
    if (roll < 260) return this.#question();
    if (roll < 290) return this.#login();
    if (roll < 430) return this.#lease();
    if (roll < 470) return this.#admin.next();
    if (roll < 550) return this.#watch();
    if (roll < 575) return this.#recipe();
    return this.#keyValue();
  }

  #keyValue(): AuthStep {
    const kv = this.#kv;
    const roll = this.#random.int(100);
    if (roll < 30) return step('put', KV.methods.put, kv.putRequest());
    if (roll < 52) return step('range', KV.methods.range, kv.rangeRequest());
    if (roll < 60) return step('range stream', KV.methods.rangeStream, kv.rangeRequest());
    if (roll < 75) return step('delete', KV.methods.deleteRange, kv.deleteRequest());
    return step('txn', KV.methods.txn, kv.txnRequest());
  }

  #watch(): AuthStep {
    const random = this.#random;
    const request = WatchCreateRequest.create({
      ...this.#kv.range(),
      // Not in the past: how many events the first answer has would be the server's choice.
      startRevision: random.pick([0, 0, 0, -1, 1_000_000]),
      prevKv: random.chance(0.3),
      progressNotify: random.chance(0.1),
      filters: random.pick([[], [], [0], [1]]),
    });
    const create = { requestUnion: { case: 'createRequest' as const, value: request } };
    return { ...step('watch', Watch.methods.watch, create), onlyFirst: true };
  }

  #lease(): AuthStep {
    const random = this.#random;
    const id = this.#kv.leaseId();
    const { methods } = Lease;
    switch (random.int(8)) {
      case 0:
      case 1: {
        const ttl = random.chance(0.95) ? 3600 : random.pick([9_000_000_001, 1e12]);
        return step('lease grant', methods.leaseGrant, LeaseGrantRequest.create({ id, ttl }));
      }
      case 2:
        return step('lease revoke', methods.leaseRevoke, LeaseRevokeRequest.create({ id }));
      case 3:
        return step('leases', methods.leaseLeases, LeaseLeasesRequest.create());
      case 4:
      case 5: {
        const request = LeaseKeepAliveRequest.create({ id });
        return { ...step('keep alive', methods.leaseKeepAlive, request), onlyFirst: true };
      }
      default: {
        const request = LeaseTimeToLiveRequest.create({ id, keys: random.chance(0.7) });
        return step('time to live', methods.leaseTimeToLive, request);
      }
    }
  }

  /** Locks and elections, each under a name of its own, so that no call waits for another. */
  #recipe(): AuthStep {
    const random = this.#random;
    const lease = this.#kv.leaseId();
    const name = Buffer.concat([this.#kv.key(), Buffer.from(`${this.#recipes++}`)]);
    const { methods } = Election;
    switch (random.int(6)) {
      case 0:
        return step('lock', Lock.methods.lock, LockRequest.create({ name, lease }));
      case 1:
        return step('unlock', Lock.methods.unlock, UnlockRequest.create({ key: this.#kv.key() }));
      case 2:
        return step('leader', methods.leader, LeaderRequest.create({ name: this.#kv.key() }));
      case 3: {
        const value = Buffer.from('v');
        return step('campaign', methods.campaign, CampaignRequest.create({ name, lease, value }));
      }
      case 4: {
        const request = ProclaimRequest.create({ leader: this.#leader, value: Buffer.from('w') });
        return step('proclaim', methods.proclaim, request);
      }
      default:
        return step('resign', methods.resign, ResignRequest.create({ leader: this.#leader }));
    }
  }

  #change(): AuthStep {
    const random = this.#random;
    const roll = random.int(100);
    const change = roll < 45 ? this.#permissionChange() : roll < 60 ? this.#roleChange() : this.#userChange();
    if (roll === 99) return step('disable', Auth.methods.authDisable, AuthDisableRequest.create(), 'root');
    if (roll === 98) return step('enable', Auth.methods.authEnable, AuthEnableRequest.create(), 'root');
    return change;
  }

  #permissionChange(): AuthStep {
    const random = this.#random;
    const role = random.pick(ROLES);
    const { key, rangeEnd } = random.chance(0.2)
      ? { key: Buffer.from(random.pick(['\0', 'a', 'b'])), rangeEnd: Buffer.from(random.pick(['\0', 'e'])) }
      : this.#kv.range();
    if (random.chance(0.3)) {
      const request = AuthRoleRevokePermissionRequest.create({ role, key, rangeEnd });
      return step('revoke', Auth.methods.roleRevokePermission, request, 'root');
    }
    const permType = random.pick([0, 1, 2] as const);
    const perm = random.chance(0.02) ? undefined : Permission.create({ permType, key, rangeEnd });
    const request = AuthRoleGrantPermissionRequest.create({ name: role, perm });
    return step('grant', Auth.methods.roleGrantPermission, request, 'root');
  }

  #roleChange(): AuthStep {
    const random = this.#random;
    const role = random.pick(ROLES);
    return random.chance(0.75)
      ? step('role add', Auth.methods.roleAdd, AuthRoleAddRequest.create({ name: role }), 'root')
      : step('role delete', Auth.methods.roleDelete, AuthRoleDeleteRequest.create({ role }), 'root');
  }

  #userChange(): AuthStep {
    const random = this.#random;
    const { methods } = Auth;
    const name = random.pick(NAMES);
    const role = name === 'erin' && random.chance(0.5) ? 'root' : random.pick(ROLES);
    switch (random.int(9)) {
      case 0:
      case 1:
        return step('user add', methods.userAdd, this.#user(name), 'root');
      case 2:
        return random.chance(0.4)
          ? step('user delete', methods.userDelete, AuthUserDeleteRequest.create({ name }), 'root')
          : this.#login();
      case 3:
        return random.chance(0.4) ? this.#password(name) : this.#login();
      case 4: {
        const request = AuthUserRevokeRoleRequest.create({ name, role });
        return step('revoke role', methods.userRevokeRole, request, 'root');
      }
      default: {
        const request = AuthUserGrantRoleRequest.create({ user: name, role });
        return step('grant role', methods.userGrantRole, request, 'root');
      }
    }
  }

  #user(name: string): AuthUserAddRequest {
    const random = this.#random;
    const hasNone = name !== 'root' && random.chance(name === 'dave' ? 0.8 : 0.1);
    return AuthUserAddRequest.create({
      name,
      password: random.pick(passwordsOf(name)),
      ...(hasNone ? { options: UserAddOptions.create({ noPassword: true }) } : {}),
      ...(random.chance(0.1) ? { hashedPassword: random.pick(HASHES) } : {}),
    });
  }

  #password(name: string): AuthStep {
    const random = this.#random;
    // Root must always be able to log in, because no other user could restore the permissions.
    const isHashed = name !== 'root' && random.chance(0.2);
    const request = AuthUserChangePasswordRequest.create({
      name,
      password: isHashed ? '' : random.pick(passwordsOf(name).slice(0, name === 'root' ? 2 : 3)),
      hashedPassword: isHashed ? random.pick(HASHES) : '',
    });
    return step('password', Auth.methods.userChangePassword, request, 'root');
  }

  #login(): AuthStep {
    const name = this.#random.pick(NAMES);
    const password = this.#random.chance(0.8) ? this.#random.pick(passwordsOf(name)) : 'wrong';
    return step('login', Auth.methods.authenticate, AuthenticateRequest.create({ name, password }));
  }

  #question(): AuthStep {
    const random = this.#random;
    const { methods } = Auth;
    switch (random.int(6)) {
      case 0:
      case 1:
        return step('user get', methods.userGet, AuthUserGetRequest.create({ name: random.pick(NAMES) }));
      case 2:
        return step('role get', methods.roleGet, AuthRoleGetRequest.create({ role: random.pick(ROLES) }));
      case 3:
        return step('user list', methods.userList, AuthUserListRequest.create());
      case 4:
        return step('role list', methods.roleList, AuthRoleListRequest.create());
      default:
        return step('auth status', methods.authStatus, AuthStatusRequest.create());
    }
  }
}
