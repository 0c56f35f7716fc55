import {
  Compare,
  CompactionRequest,
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from '../../src/wire/gen/etcdserverpb.ts';
import type { SeededRandom } from '../../src/lib/seeded-random.ts';
import { EMPTY } from '../../src/wire/reader.ts';

const zero = Buffer.from([0]);

/** The state of the two servers, as known from the responses so far. */
export interface Progress {
  revision: number;
  compacted: number;
}

/** Generates random requests for a small key space: mostly valid ones, and some at and outside of all limits. */
export class RequestMaker {
  readonly #random: SeededRandom;
  readonly #progress: Progress;

  constructor(random: SeededRandom, progress: Progress) {
    this.#random = random;
    this.#progress = progress;
  }

  key(): Buffer {
    const random = this.#random;
    if (random.chance(0.01)) return EMPTY;
    if (random.chance(0.02)) return random.bytes(random.between(1, 6));
    if (random.chance(0.01))
      return Buffer.concat([Buffer.from('k/'), random.bytes(random.between(200, 2000))]);
    return Buffer.from(`k/${random.int(8)}/${random.int(6)}`);
  }

  range(): { key: Buffer; rangeEnd: Buffer } {
    const random = this.#random;
    const key = this.key();
    switch (random.int(8)) {
      case 0:
      case 1:
      case 2:
        return { key, rangeEnd: EMPTY };
      case 3:
        return { key, rangeEnd: zero };
      case 4:
        return { key: zero, rangeEnd: zero };
      case 5:
        return { key: Buffer.from(`k/${random.int(8)}/`), rangeEnd: Buffer.from(`k/${random.int(8)}0`) };
      case 6:
        return { key, rangeEnd: key };
      default:
        return { key, rangeEnd: this.key() };
    }
  }

  /** Mostly 0, which means now; else any revision, from before the compaction to the future. */
  revision(): number {
    const random = this.#random;
    const { revision, compacted } = this.#progress;
    if (random.chance(0.5)) return 0;
    if (random.chance(0.05))
      return random.pick([-1, -100, revision + 1, revision + 1000, Number.MAX_SAFE_INTEGER]);
    if (random.chance(0.1)) return Math.max(0, compacted + random.between(-2, 2));
    return random.between(Math.min(compacted + 1, revision), revision);
  }

  /** Ids of the leases that the test grants itself, and one that is never granted. */
  leaseId(): bigint {
    return BigInt(1000 + this.#random.int(7));
  }

  rangeRequest(): RangeRequest {
    const random = this.#random;
    const request = RangeRequest.create({ ...this.range(), revision: this.revision() });
    if (random.chance(0.4)) request.limit = random.pick([1, 2, 3, 5, 10, 1000, -1]);
    if (random.chance(0.4)) request.sortOrder = random.pick([0, 1, 2]);
    if (random.chance(0.4)) request.sortTarget = random.pick([0, 1, 2, 3, 4]);
    if (random.chance(0.01)) request.sortOrder = random.pick([3, -1, 100]) as RangeRequest['sortOrder'];
    if (random.chance(0.01)) request.sortTarget = random.pick([5, -1, 100]) as RangeRequest['sortTarget'];
    request.keysOnly = random.chance(0.15);
    request.countOnly = random.chance(0.1);
    request.serializable = random.chance(0.3);
    if (random.chance(0.08)) request.minModRevision = random.between(-1, this.#progress.revision + 1);
    if (random.chance(0.08)) request.maxModRevision = random.between(-1, this.#progress.revision + 1);
    if (random.chance(0.08)) request.minCreateRevision = random.between(-1, this.#progress.revision + 1);
    if (random.chance(0.08)) request.maxCreateRevision = random.between(-1, this.#progress.revision + 1);
    return request;
  }

  putRequest(): PutRequest {
    const random = this.#random;
    const request = PutRequest.create({ key: this.key(), value: this.#value(), prevKv: random.chance(0.3) });
    if (random.chance(0.15)) request.lease = this.leaseId();
    if (random.chance(0.06)) {
      request.ignoreValue = true;
      if (random.chance(0.8)) request.value = EMPTY;
    }
    if (random.chance(0.06)) {
      request.ignoreLease = true;
      if (random.chance(0.8)) request.lease = 0n;
    }
    return request;
  }

  deleteRequest(): DeleteRangeRequest {
    const random = this.#random;
    const range = random.chance(0.7) ? { key: this.key(), rangeEnd: EMPTY } : this.range();
    return DeleteRangeRequest.create({ ...range, prevKv: random.chance(0.4) });
  }

  txnRequest(depth = 0): TxnRequest {
    const random = this.#random;
    const many = random.chance(0.01) ? random.between(126, 131) : undefined;
    return TxnRequest.create({
      compare: this.#list(random.int(4), () => this.compare()),
      success: this.#list(many ?? random.int(5), () => this.#operation(depth)),
      failure: this.#list(random.int(4), () => this.#operation(depth)),
    });
  }

  compare(): Compare {
    const random = this.#random;
    const compare = Compare.create({ key: this.key(), result: random.pick([0, 1, 2, 3]) });
    if (random.chance(0.2)) Object.assign(compare, this.range());
    if (random.chance(0.01)) compare.result = random.pick([4, -1]) as Compare['result'];
    const revision = random.between(0, this.#progress.revision + 1);
    switch (random.int(5)) {
      case 0:
        compare.target = 0;
        compare.targetUnion = { case: 'version', value: random.int(5) };
        break;
      case 1:
        compare.target = 1;
        compare.targetUnion = { case: 'createRevision', value: random.chance(0.4) ? 0 : revision };
        break;
      case 2:
        compare.target = 2;
        compare.targetUnion = { case: 'modRevision', value: random.chance(0.3) ? 0 : revision };
        break;
      case 3:
        compare.target = 3;
        compare.targetUnion = { case: 'value', value: this.#value() };
        break;
      default:
        compare.target = 4;
        compare.targetUnion = { case: 'lease', value: random.chance(0.5) ? 0n : this.leaseId() };
    }
    // A target without its value, or with the value of another target.
    if (random.chance(0.02)) compare.targetUnion = undefined;
    if (random.chance(0.02)) compare.target = random.pick([0, 1, 2, 3, 4]);
    return compare;
  }

  compactRequest(): CompactionRequest {
    const random = this.#random;
    const { revision, compacted } = this.#progress;
    const target = random.chance(0.25)
      ? random.pick([0, -1, compacted, compacted - 1, revision + 1, revision + 100])
      : random.between(compacted, Math.max(compacted, revision - random.int(40)));
    return CompactionRequest.create({ revision: target, physical: random.chance(0.5) });
  }

  #operation(depth: number): RequestOp {
    const random = this.#random;
    if (random.chance(0.01)) return RequestOp.create();
    const kind = random.int(depth < 2 ? 11 : 10);
    if (kind < 4) return RequestOp.create({ request: { case: 'requestPut', value: this.putRequest() } });
    if (kind < 8) return RequestOp.create({ request: { case: 'requestRange', value: this.rangeRequest() } });
    if (kind < 10)
      return RequestOp.create({ request: { case: 'requestDeleteRange', value: this.deleteRequest() } });
    return RequestOp.create({ request: { case: 'requestTxn', value: this.txnRequest(depth + 1) } });
  }

  #value(): Buffer {
    const random = this.#random;
    if (random.chance(0.1)) return EMPTY;
    if (random.chance(0.02)) return random.bytes(random.between(1_000, 30_000));
    return Buffer.from(`v${random.int(20)}`);
  }

  #list<T>(length: number, make: () => T): T[] {
    return Array.from({ length }, make);
  }
}
