import type { SeededRandom } from '../../src/lib/seeded-random.ts';
import {
  AlarmRequest,
  DefragmentRequest,
  DowngradeRequest,
  HashKVRequest,
  HashRequest,
  MemberAddRequest,
  MemberListRequest,
  MemberPromoteRequest,
  MemberRemoveRequest,
  MemberUpdateRequest,
  MoveLeaderRequest,
  SnapshotRequest,
  StatusRequest,
} from '../../src/wire/gen/etcdserverpb.ts';
import { Cluster, KV, Maintenance } from '../../src/wire/services.ts';
import type { AuthKvRequestMaker } from './auth-kv-requests.ts';
import { type AuthStep, step } from './auth-step.ts';

/** The id of a member that does not exist. */
const STRANGER = 7n;
/** Placeholder in a list of peer URLs for the address of each server. */
export const OWN_PEER_URL = 'its own';

/** Requests about the server and its cluster. Sent by any user, they change nothing that would end the run. */
export class AuthAdminRequestMaker {
  readonly #random: SeededRandom;
  readonly #kv: AuthKvRequestMaker;

  constructor(random: SeededRandom, kv: AuthKvRequestMaker) {
    this.#random = random;
    this.#kv = kv;
  }

  next(): AuthStep {
    const random = this.#random;
    if (random.chance(0.35)) return this.#membership();
    const { methods } = Maintenance;
    switch (random.int(12)) {
      case 0:
      case 1:
        return step('compact', KV.methods.compact, this.#kv.compactRequest());
      case 2:
        return step('defragment', methods.defragment, DefragmentRequest.create());
      case 3:
        return step('hash', methods.hash, HashRequest.create());
      case 4:
        return step('hash kv', methods.hashKv, HashKVRequest.create({ revision: this.#kv.revision() }));
      case 5:
        return { ...step('snapshot', methods.snapshot, SnapshotRequest.create()), onlyFirst: true };
      case 6: {
        const targetId = random.pick([0n, STRANGER]);
        return step('move leader', methods.moveLeader, MoveLeaderRequest.create({ targetId }));
      }
      case 7:
        return this.#downgrade();
      case 8:
        return step('status', methods.status, StatusRequest.create());
      default:
        return this.#alarm();
    }
  }

  /** Without space most writes are refused, so the alarm goes down sooner than it goes up. */
  #alarm(): AuthStep {
    const random = this.#random;
    const action = random.pick([0, 0, 1, 2, 2, 2] as const);
    const request = AlarmRequest.create({
      action,
      memberId: action === 0 ? random.pick([0n, STRANGER]) : STRANGER,
      alarm: action === 0 ? random.pick([0, 1, 2] as const) : 1,
    });
    const label = ['alarm get', 'alarm activate', 'alarm deactivate'][action] ?? '';
    return step(label, Maintenance.methods.alarm, request);
  }

  #downgrade(): AuthStep {
    const random = this.#random;
    const request = DowngradeRequest.create({
      action: random.pick([0, 0, 2] as const),
      version: random.pick(['3.6.0', '3.1.0', 'x', '']),
    });
    return step('downgrade', Maintenance.methods.downgrade, request);
  }

  #membership(): AuthStep {
    const random = this.#random;
    const { methods } = Cluster;
    switch (random.int(6)) {
      case 0: {
        const peerUrls = random.pick([[OWN_PEER_URL], [OWN_PEER_URL], ['no url'], []]);
        const request = MemberAddRequest.create({ peerUrls, isLearner: random.chance(0.5) });
        return step('member add', methods.memberAdd, request);
      }
      case 1:
        return step('member remove', methods.memberRemove, MemberRemoveRequest.create({ id: STRANGER }));
      case 2: {
        const request = MemberUpdateRequest.create({ id: STRANGER, peerUrls: ['http://127.0.0.1:1'] });
        return step('member update', methods.memberUpdate, request);
      }
      case 3:
        return step('member promote', methods.memberPromote, MemberPromoteRequest.create({ id: STRANGER }));
      default: {
        const request = MemberListRequest.create({ linearizable: random.chance(0.5) });
        return step('member list', methods.memberList, request);
      }
    }
  }
}
