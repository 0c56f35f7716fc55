import { describe, expect, it } from 'vitest';
import {
  Compare,
  CompareCompareTarget,
  DeleteRangeRequest,
  InternalRaftRequest,
  PutRequest,
  RangeRequest,
  RequestHeader,
  RequestOp,
  TxnRequest,
} from '../wire/gen/etcdserverpb.ts';
import { GuardedEntry } from './guarded-entry.ts';

const header = RequestHeader.create({ id: 0x8e9e_05c5_2164_694dn, username: 'root', authRevision: 3 });
const key = Buffer.from('/registry/pods/a');
const value = Buffer.alloc(300, 'v');

const op = (request: NonNullable<RequestOp['request']>): RequestOp => RequestOp.create({ request });
const putOp = (fields: Partial<PutRequest> = {}): RequestOp =>
  op({ case: 'requestPut', value: PutRequest.create({ key, value, ...fields }) });
const deleteOp = (fields: Partial<DeleteRangeRequest> = {}): RequestOp =>
  op({ case: 'requestDeleteRange', value: DeleteRangeRequest.create({ key, ...fields }) });
const getOp = (fields: Partial<RangeRequest> = {}): RequestOp =>
  op({ case: 'requestRange', value: RangeRequest.create({ key, ...fields }) });
const isMod = (modRevision: number, fields: Partial<Compare> = {}): Compare =>
  Compare.create({
    key,
    target: CompareCompareTarget.MOD,
    targetUnion: { case: 'modRevision', value: modRevision },
    ...fields,
  });

function encode(txn: Partial<TxnRequest>): Buffer {
  return InternalRaftRequest.encode(InternalRaftRequest.create({ header, txn: TxnRequest.create(txn) }));
}

describe('GuardedEntry', () => {
  it.each([
    ['a put', { compare: [isMod(0)], success: [putOp()] }, { expected: 0, isDelete: false, lease: 0n }],
    [
      'a put that is read if it fails',
      { compare: [isMod(2 ** 40)], success: [putOp({ lease: -5n })], failure: [getOp()] },
      { expected: 2 ** 40, isDelete: false, lease: -5n },
    ],
    [
      'a delete',
      { compare: [isMod(7)], success: [deleteOp()], failure: [getOp()] },
      { expected: 7, isDelete: true },
    ],
    [
      'a compare of the version without a number',
      { compare: [Compare.create({ key })], success: [putOp()] },
      { target: CompareCompareTarget.VERSION, expected: 0 },
    ],
  ])('reads %s', (_name, txn, expected) => {
    const entry = new GuardedEntry();
    const data = encode(txn);
    for (let times = 0; times < 2; times++) {
      expect(entry.read(data)).toBe(true);
      expect(entry).toMatchObject({ key, ...expected, username: 'root', authRevision: 3 });
      expect(entry.value).toEqual(entry.isDelete ? Buffer.alloc(0) : value);
      expect((BigInt(entry.idPrefix) << 48n) | BigInt(entry.idSequence)).toBe(header.id);
      entry.release();
    }
    for (let length = 1; length < data.length; length++)
      expect(entry.read(data.subarray(0, length))).toBe(false);
  });

  const other = Buffer.from('/registry/pods/b');
  it.each([
    ['nothing', {}],
    ['no compare', { success: [putOp()] }],
    ['no operation', { compare: [isMod(1)] }],
    ['two compares', { compare: [isMod(1), isMod(1)], success: [putOp()] }],
    ['a compare that is no equality', { compare: [isMod(1, { result: 1 })], success: [putOp()] }],
    ['a compare of the value', { compare: [isMod(1, { target: 3 })], success: [putOp()] }],
    ['a compare of the lease', { compare: [isMod(1, { target: 4 })], success: [putOp()] }],
    ['a number of another target', { compare: [isMod(1, { target: 1 })], success: [putOp()] }],
    ['a compare of a range', { compare: [isMod(1, { rangeEnd: other })], success: [putOp()] }],
    ['a compare of another key', { compare: [isMod(1, { key: other })], success: [putOp()] }],
    ['a compare of a shorter key', { compare: [isMod(1, { key: key.subarray(0, 5) })], success: [putOp()] }],
    ['an empty key', { compare: [Compare.create()], success: [putOp({ key: Buffer.alloc(0) })] }],
    ['two puts', { compare: [isMod(1)], success: [putOp(), putOp()] }],
    ['a put with the previous value', { compare: [isMod(1)], success: [putOp({ prevKv: true })] }],
    ['a put of the old value', { compare: [isMod(1)], success: [putOp({ ignoreValue: true })] }],
    ['a put of the old lease', { compare: [isMod(1)], success: [putOp({ ignoreLease: true })] }],
    ['a read', { compare: [isMod(1)], success: [getOp()] }],
    ['a delete of a range', { compare: [isMod(1)], success: [deleteOp({ rangeEnd: other })] }],
    ['a delete with the value', { compare: [isMod(1)], success: [deleteOp({ prevKv: true })] }],
    ['a put if the compare fails', { compare: [isMod(1)], success: [putOp()], failure: [putOp()] }],
    ['a read of another key', { compare: [isMod(1)], success: [putOp()], failure: [getOp({ key: other })] }],
    ['a read with a limit', { compare: [isMod(1)], success: [putOp()], failure: [getOp({ limit: 1 })] }],
    ['an operation without a request', { compare: [isMod(1)], success: [RequestOp.create()] }],
  ])('leaves a transaction with %s to the full decoder', (_name, txn) => {
    expect(new GuardedEntry().read(encode(txn))).toBe(false);
  });

  it('leaves other requests and a second transaction to the full decoder', () => {
    const entry = new GuardedEntry();
    const whole = encode({ compare: [isMod(1)], success: [putOp()] });
    expect(entry.read(Buffer.concat([whole, whole]))).toBe(false);
    const put = InternalRaftRequest.create({ header, put: PutRequest.create({ key }) });
    expect(entry.read(InternalRaftRequest.encode(put))).toBe(false);
  });
});
