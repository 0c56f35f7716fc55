import { expect, it } from 'vitest';
import { runSteps, type Steps } from '../lib/steps.ts';
import { MvccStore } from '../mvcc/store.ts';
import { MemoryEngine } from '../storage/memory-engine.ts';
import { errors } from '../wire/errors.ts';
import {
  Compare,
  DeleteRangeRequest,
  InternalRaftRequest,
  PutRequest,
  RangeRequest,
  type RequestOp,
  TxnRequest,
} from '../wire/gen/etcdserverpb.ts';
import { checkTxnInSteps } from './checks.ts';
import { isLargeRequest, LargeRequest } from './large-request.ts';
import { readTxnAt } from './read-txn.ts';
import { bytes, entries, Machine } from './testing/machine.ts';

/*
 * Transactions of so many operations, which --max-txn-ops allows when it is raised, are checked, decoded, applied and
 * read in steps. What a step does is counted instead of timed.
 */
const OPS = 20_000;

const keyOf = (n: number): Buffer => bytes(`key/${n}`);
const put = (n: number): RequestOp => ({
  request: { case: 'requestPut', value: PutRequest.create({ key: keyOf(n), value: bytes('value') }) },
});
const range = (n: number): RequestOp => ({
  request: { case: 'requestRange', value: RangeRequest.create({ key: keyOf(n) }) },
});
const remove = (n: number): RequestOp => ({
  request: { case: 'requestDeleteRange', value: DeleteRangeRequest.create({ key: keyOf(n) }) },
});
const nested = (n: number): RequestOp => ({
  request: { case: 'requestTxn', value: TxnRequest.create({ success: [put(n)] }) },
});
const txnOf = (opOf: (n: number) => RequestOp, ops = OPS): TxnRequest =>
  TxnRequest.create({ success: Array.from({ length: ops }, (_, n) => opOf(n)) });

/** Runs the steps to their end. @returns how many there were */
function countSteps(steps: Steps<unknown>): number {
  let count = 1;
  while (steps.next().done !== true) count += 1;
  return count;
}

it.each(Object.entries({ put, remove, nested }))('a %s of each key is checked in steps', (_name, opOf) => {
  const request = txnOf(opOf);
  expect(countSteps(checkTxnInSteps(request, OPS + 1))).toBeGreaterThan(30);
  expect(runSteps(checkTxnInSteps(request, OPS + 1))).toBeUndefined();
  if (opOf !== remove) {
    const twice = TxnRequest.create({ success: [...request.success, put(7)] });
    expect(runSteps(checkTxnInSteps(twice, OPS + 2))).toBe(errors.DuplicateKey);
  }
});

it('an entry with a large transaction is decoded in steps, to the same request', () => {
  const header = { id: 77n, username: 'user', authRevision: 3 };
  const request = InternalRaftRequest.create({ header, txn: txnOf(put) });
  const data = InternalRaftRequest.encode(request);
  expect(isLargeRequest(data)).toBe(true);
  expect(countSteps(new LargeRequest(data).decode())).toBeGreaterThan(30);
  expect(runSteps(new LargeRequest(data).decode())).toEqual(InternalRaftRequest.decode(data));
  const small = InternalRaftRequest.create({ header, txn: txnOf(put, 10) });
  expect(isLargeRequest(InternalRaftRequest.encode(small))).toBe(false);
});

it('an entry is applied in many turns, and read at once when it is complete', () => {
  const machine = new Machine();
  const [entry] = entries([{ txn: txnOf(put) }]);
  let turns = 0;
  machine.apply(entry === undefined ? [] : [entry], () => {
    turns += 1;
    expect(machine.read({ countOnly: true }).count).toBe(machine.store.committedRevision === 1 ? 0 : OPS);
  });
  expect(turns).toBeGreaterThan(150);
  expect(machine.results).toMatchObject([{ revision: 2 }]);
  expect(machine.read().keys).toBe(OPS);
});

it('a read-only transaction is answered in steps', () => {
  const store = new MvccStore(new MemoryEngine());
  const compare = Array.from({ length: OPS }, (_, n) => Compare.create({ key: keyOf(n), target: 0 }));
  const request = TxnRequest.create({ ...txnOf(range), compare });
  expect(countSteps(readTxnAt(store, request, 1))).toBeGreaterThan(600);
  expect(runSteps(readTxnAt(store, request, 1))).toMatchObject({ revision: 1 });
});
