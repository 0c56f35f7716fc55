import type { SeededRandom } from '../../src/lib/seeded-random.ts';
import { TxnRequest } from '../../src/wire/gen/etcdserverpb.ts';
import { type Progress, RequestMaker } from '../differential/requests.ts';

const KEYS = [
  ...['\0', '\0\0', 'a', 'a/1', 'a/2', 'ab', 'b', 'b/', 'b/x', 'c', 'd', 'e'],
  ...['\xfe', '\xff', '\xff\0', '\xff\xff', '\xff\xff\xff'],
];
const ENDS = ['\0', '\0\0', 'a', 'a0', 'b', 'c', 'd', 'f', '\xff', '\xff\xff', '\xff\xff\xff\xff'];
/** Leases that keys are attached to; few, so that each has keys of several users. */
const LEASES = 5;

/** Requests about keys at the edges of permissions: the same forms as in the differential run without auth. */
export class AuthKvRequestMaker extends RequestMaker {
  readonly #chance: SeededRandom;

  constructor(random: SeededRandom, progress: Progress) {
    super(random, progress);
    this.#chance = random;
  }

  override key(): Buffer {
    if (this.#chance.chance(0.02)) return Buffer.alloc(0);
    return Buffer.from(this.#chance.pick(KEYS), 'latin1');
  }

  override range(): { key: Buffer; rangeEnd: Buffer } {
    const random = this.#chance;
    const key = this.key();
    if (random.chance(0.45)) return { key, rangeEnd: Buffer.alloc(0) };
    if (random.chance(0.4)) return { key, rangeEnd: afterPrefix(key) };
    return { key, rangeEnd: Buffer.from(random.pick(ENDS), 'latin1') };
  }

  override leaseId(): bigint {
    return BigInt(1 + this.#chance.int(LEASES));
  }

  /** Mostly of one or two operations: of more, somebody without all rights is allowed none. */
  override txnRequest(depth = 0): TxnRequest {
    const random = this.#chance;
    const { compare, success, failure } = super.txnRequest(depth);
    if (random.chance(0.2)) return TxnRequest.create({ compare, success, failure });
    return TxnRequest.create({
      compare: compare.slice(0, random.int(2)),
      success: success.slice(0, 1 + random.int(2)),
      failure: failure.slice(0, random.int(2)),
    });
  }
}

/** Returns the range end for a prefix; an open end if there is none. */
function afterPrefix(prefix: Buffer): Buffer {
  for (let at = prefix.length - 1; at >= 0; at--) {
    const byte = prefix[at] ?? 0xff;
    if (byte < 0xff) return Buffer.from([...prefix.subarray(0, at), byte + 1]);
  }
  return Buffer.from([0]);
}
