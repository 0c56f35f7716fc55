import { describe, expect, it } from 'vitest';
import {
  AlarmRequestAlarmAction,
  AlarmType,
  Compare,
  CompareCompareTarget,
  type InternalRaftRequest,
  PutRequest,
  DeleteRangeRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from '../wire/gen/etcdserverpb.ts';
import { isError, type ApplyResult } from './results.ts';
import { bytes, entries, LEASE, Machine, put } from './testing/machine.ts';

interface Guarded {
  readonly key: string;
  readonly target: CompareCompareTarget;
  readonly expected: number;
  readonly lease: bigint;
  readonly isDelete: boolean;
  readonly reads: boolean;
}

/** @param compares more than one equal compare is applied by the general code */
function txn(guarded: Guarded, compares: number): Partial<InternalRaftRequest> {
  const key = bytes(guarded.key);
  const { target, expected } = guarded;
  const names = ['version', 'createRevision', 'modRevision'] as const;
  const targetUnion = { case: names[target as 0 | 1 | 2], value: expected };
  const write: RequestOp['request'] = guarded.isDelete
    ? { case: 'requestDeleteRange', value: DeleteRangeRequest.create({ key }) }
    : {
        case: 'requestPut',
        value: PutRequest.create({ key, value: bytes(`v${expected}`), lease: guarded.lease }),
      };
  const read = RequestOp.create({ request: { case: 'requestRange', value: RangeRequest.create({ key }) } });
  return {
    txn: TxnRequest.create({
      compare: Array.from({ length: compares }, () => Compare.create({ key, target, targetUnion })),
      success: [RequestOp.create({ request: write })],
      failure: guarded.reads ? [read] : [],
    }),
  };
}

function plain(result: ApplyResult): unknown {
  return isError(result)
    ? result.message
    : { revision: result.revision, body: Buffer.concat(result.body.slices) };
}

/** Applies the same requests with the quick code and with the general code. */
function applyBoth(make: (compares: number) => Partial<InternalRaftRequest>[], batch: number): Machine[] {
  return [1, 2].map((compares) => {
    const machine = new Machine();
    const log = entries(make(compares));
    for (let at = 0; at < log.length; at += batch) machine.apply(log.slice(at, at + batch));
    return machine;
  });
}

function expectSame([quick, general]: Machine[]): void {
  expect(quick?.results.map(plain)).toEqual(general?.results.map(plain));
  expect(quick?.rows()).toEqual(general?.rows());
  expect(quick?.events.flat().map(({ row }) => row)).toEqual(general?.events.flat().map(({ row }) => row));
  const counts = [quick, general].map((machine) => {
    const sums = new Map<string, number>();
    machine?.applier.counts.drain((name, isRefused, count) => {
      const kind = `${name} ${isRefused}`;
      sums.set(kind, (sums.get(kind) ?? 0) + count);
    });
    return sums;
  });
  expect(counts[0]).toEqual(counts[1]);
}

describe('a guarded transaction', () => {
  it.each([1, 7, 64])('has the results and rows of the general code, %d in a batch', (batch) => {
    let seed = 12345;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return (seed >>> 8) % below;
    };
    const grant = { leaseGrant: { id: LEASE, ttl: 60 } };
    // One machine applies each step at once, so that most compares can be made to hold.
    const probe = new Machine();
    const requests: Partial<InternalRaftRequest>[] = [];
    const apply = (request: Partial<InternalRaftRequest>): void => {
      requests.push(request);
      probe.apply(entries(requests).slice(-1));
    };
    apply(grant);
    const steps = Array.from({ length: 400 }, (_, at): Guarded => {
      const key = `k${random(12)}`;
      if (at % 5 === 0) apply(put(key, 'plain'));
      const target = random(3) as CompareCompareTarget;
      const meta = probe.store.get(bytes(key));
      const present = [meta?.version, meta?.create, meta?.mod][target] ?? 0;
      const step = {
        key,
        target,
        expected: random(4) === 0 ? random(at + 1) : present,
        lease: [0n, 0n, LEASE, 99n][random(4)] ?? 0n,
        isDelete: random(4) === 0,
        reads: random(2) === 0,
      };
      apply(txn(step, 2));
      return step;
    });
    const machines = applyBoth(
      (compares) => [
        grant,
        ...steps.flatMap((step, at) => {
          const request = txn(step, compares);
          return at % 5 === 0 ? [put(step.key, 'plain'), request] : [request];
        }),
      ],
      batch,
    );
    expectSame(machines);
    const succeeded = machines[0]?.results.filter((result) => {
      const [first] = isError(result) ? [] : result.body.slices;
      return first?.[0] === 0x10;
    });
    expect(succeeded?.length).toBeGreaterThan(100);
  });

  it.each([AlarmType.NOSPACE, AlarmType.CORRUPT])('is refused while alarm %d is raised', (alarm) => {
    const create: Guarded = {
      key: 'k',
      target: CompareCompareTarget.MOD,
      expected: 0,
      lease: 0n,
      isDelete: false,
      reads: true,
    };
    expectSame(
      applyBoth(
        (compares) => [
          { alarm: { action: AlarmRequestAlarmAction.ACTIVATE, memberId: 1n, alarm } },
          txn(create, compares),
        ],
        2,
      ),
    );
  });
});
