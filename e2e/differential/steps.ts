import {
  AuthRoleAddRequest,
  AuthRoleDeleteRequest,
  AuthRoleGetRequest,
  AuthRoleGrantPermissionRequest,
  AuthRoleListRequest,
  AuthStatusRequest,
  HashKVRequest,
  LeaseGrantRequest,
  LeaseKeepAliveRequest,
  LeaseLeasesRequest,
  LeaseRevokeRequest,
  LeaseTimeToLiveRequest,
  MemberListRequest,
  PutRequest,
  RangeRequest,
} from '../../src/wire/gen/etcdserverpb.ts';
import { Permission } from '../../src/wire/gen/authpb.ts';
import { Auth, Cluster, KV, Lease, Maintenance } from '../../src/wire/services.ts';
import type { SeededRandom } from '../../src/lib/seeded-random.ts';
import type { Answer, Method, RpcClient } from '../harness/rpc-client.ts';
import type { Progress, RequestMaker } from './requests.ts';

/** One request that is sent to both servers. */
export interface DifferentialStep {
  label: string;
  request: unknown;
  send: (client: RpcClient) => Promise<Answer>;
}

/** Generates the requests of a run. The same seed always gives the same sequence. */
export class StepMaker {
  readonly #random: SeededRandom;
  readonly #make: RequestMaker;
  readonly #progress: Progress;
  /** Steps that must come next. */
  readonly #due: DifferentialStep[] = [];

  constructor(random: SeededRandom, make: RequestMaker, progress: Progress) {
    this.#random = random;
    this.#make = make;
    this.#progress = progress;
  }

  next(): DifferentialStep {
    const due = this.#due.shift();
    if (due !== undefined) return due;
    const make = this.#make;
    const roll = this.#random.int(1000);
    if (roll < 320) return unary('put', KV.methods.put, make.putRequest());
    if (roll < 560) return unary('range', KV.methods.range, make.rangeRequest());
    if (roll < 590) return streamed('range stream', KV.methods.rangeStream, make.rangeRequest());
    if (roll < 670) return unary('delete', KV.methods.deleteRange, make.deleteRequest());
    if (roll < 880) return unary('txn', KV.methods.txn, make.txnRequest());
    if (roll < 888) return unary('compact', KV.methods.compact, make.compactRequest());
    if (roll < 895)
      return unary('hash', Maintenance.methods.hashKv, HashKVRequest.create({ revision: make.revision() }));
    if (roll < 970) return this.#lease();
    if (roll < 990) return this.#auth();
    return this.#rare();
  }

  #lease(): DifferentialStep {
    const random = this.#random;
    const id = this.#make.leaseId();
    switch (random.int(6)) {
      case 0:
      case 1:
        return this.#grant(id);
      case 2:
        return unary('lease revoke', Lease.methods.leaseRevoke, LeaseRevokeRequest.create({ id }));
      case 3:
        return unary(
          'lease time to live',
          Lease.methods.leaseTimeToLive,
          LeaseTimeToLiveRequest.create({ id, keys: random.chance(0.6) }),
        );
      case 4:
        return unary('leases', Lease.methods.leaseLeases, LeaseLeasesRequest.create());
      default: {
        const request = LeaseKeepAliveRequest.create({ id });
        return {
          label: 'lease keep alive',
          request,
          send: (client) => client.exchange(Lease.methods.leaseKeepAlive, request),
        };
      }
    }
  }

  /** Short leases are revoked at once, because they do not expire at the same moment on both servers. */
  #grant(id: bigint): DifferentialStep {
    const ttl = this.#random.pick([600, 3_000, 1_000_000, 9_000_000_000, 9_000_000_001, 0, -1, 1]);
    if (ttl < 100)
      this.#due.push(unary('lease revoke', Lease.methods.leaseRevoke, LeaseRevokeRequest.create({ id })));
    return unary('lease grant', Lease.methods.leaseGrant, LeaseGrantRequest.create({ id, ttl }));
  }

  #auth(): DifferentialStep {
    const random = this.#random;
    const role = random.pick(['', 'reader', 'writer', 'root']);
    switch (random.int(6)) {
      case 0:
        return unary('role add', Auth.methods.roleAdd, AuthRoleAddRequest.create({ name: role }));
      case 1:
        return unary('role get', Auth.methods.roleGet, AuthRoleGetRequest.create({ role }));
      case 2:
        return unary('role delete', Auth.methods.roleDelete, AuthRoleDeleteRequest.create({ role }));
      case 3: {
        const perm = Permission.create({ permType: random.pick([0, 1, 2]), ...this.#make.range() });
        return unary(
          'role grant',
          Auth.methods.roleGrantPermission,
          AuthRoleGrantPermissionRequest.create({ name: role, perm }),
        );
      }
      case 4:
        return unary('role list', Auth.methods.roleList, AuthRoleListRequest.create());
      default:
        return unary('auth status', Auth.methods.authStatus, AuthStatusRequest.create());
    }
  }

  #rare(): DifferentialStep {
    const random = this.#random;
    switch (random.int(5)) {
      case 0: {
        const value = Buffer.alloc(random.pick([1_572_000, 1_572_800, 1_572_864, 1_600_000, 2_200_000]), 'x');
        return unary('large put', KV.methods.put, PutRequest.create({ key: Buffer.from('large'), value }));
      }
      case 1:
        return unary(
          'member list',
          Cluster.methods.memberList,
          MemberListRequest.create({ linearizable: random.chance(0.5) }),
        );
      case 2: {
        const unknown: Method<RangeRequest, unknown> = {
          ...KV.methods.range,
          path: '/etcdserverpb.KV/Nothing',
        };
        return unary('unknown method', unknown, RangeRequest.create());
      }
      case 3: {
        const unknown: Method<RangeRequest, unknown> = {
          ...KV.methods.range,
          path: '/etcdserverpb.Nothing/Range',
        };
        return unary('unknown service', unknown, RangeRequest.create());
      }
      default:
        return unary(
          'hash of now',
          Maintenance.methods.hashKv,
          HashKVRequest.create({ revision: this.#progress.revision }),
        );
    }
  }
}

export function unary<Q, R>(label: string, method: Method<Q, R>, request: Q): DifferentialStep {
  return { label, request, send: (client) => client.unary(method, request) };
}

function streamed<Q, R>(label: string, method: Method<Q, R>, request: Q): DifferentialStep {
  return { label, request, send: (client) => client.serverStream(method, request) };
}
