import { describe, expect, it } from 'vitest';
import { type EtcdError, errors } from '../wire/errors.ts';
import {
  Compare,
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  type RequestOp,
  TxnRequest,
} from '../wire/gen/etcdserverpb.ts';
import { checkPut, checkRange, checkTxn, isReadonlyTxn, isSerializableTxn } from './checks.ts';

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

function put(key: string, over: Partial<PutRequest> = {}): RequestOp {
  return { request: { case: 'requestPut', value: PutRequest.create({ key: bytes(key), ...over }) } };
}

function del(key: string, rangeEnd = ''): RequestOp {
  return {
    request: {
      case: 'requestDeleteRange',
      value: DeleteRangeRequest.create({ key: bytes(key), rangeEnd: bytes(rangeEnd) }),
    },
  };
}

function get(key: string, over: Partial<RangeRequest> = {}): RequestOp {
  return { request: { case: 'requestRange', value: RangeRequest.create({ key: bytes(key), ...over }) } };
}

function txn(success: RequestOp[], failure: RequestOp[] = []): RequestOp {
  return { request: { case: 'requestTxn', value: TxnRequest.create({ success, failure }) } };
}

function check(success: RequestOp[], failure: RequestOp[] = [], maxTxnOps = 128): EtcdError | undefined {
  return checkTxn(TxnRequest.create({ success, failure }), maxTxnOps);
}

describe('single requests', () => {
  it('with several faults are refused for the first check', () => {
    expect(checkPut(PutRequest.create({ ignoreValue: true, value: bytes('v') }))).toBe(errors.EmptyKey);
    const request = PutRequest.create({
      key: bytes('k'),
      ignoreValue: true,
      value: bytes('v'),
      ignoreLease: true,
      lease: 1n,
    });
    expect(checkPut(request)).toBe(errors.ValueProvided);
    expect(checkPut({ ...request, value: bytes('') })).toBe(errors.LeaseProvided);
    expect(checkRange(RangeRequest.create({}))).toBe(errors.EmptyKey);
    for (const wrong of [
      { sortOrder: 3 },
      { sortOrder: -1 },
      { sortTarget: 5 },
    ] as unknown as Partial<RangeRequest>[]) {
      expect(checkRange(RangeRequest.create({ key: bytes('k'), ...wrong }))).toBe(errors.InvalidSortOption);
    }
  });
});

describe('transactions', () => {
  it('count operations per list; nested ones count against the rest of the parent', () => {
    expect(check([put('a'), put('b')], [], 2)).toBeUndefined();
    expect(check([put('a'), put('b'), put('c')], [], 2)).toBe(errors.TooManyOps);
    expect(check([txn([put('a')])], [], 2)).toBeUndefined();
    expect(check([txn([put('a'), put('b')])], [], 2)).toBe(errors.TooManyOps);
    const compares = TxnRequest.create({
      compare: [Compare.create({ key: bytes('a') }), Compare.create({ key: bytes('b') })],
    });
    expect(checkTxn(compares, 1)).toBe(errors.TooManyOps);
  });

  it('need a key in every operation', () => {
    expect(checkTxn(TxnRequest.create({ compare: [Compare.create({})] }), 128)).toBe(errors.EmptyKey);
    expect(check([put('')])).toBe(errors.EmptyKey);
    expect(check([], [del('')])).toBe(errors.EmptyKey);
    expect(check([{ request: undefined }])).toBe(errors.KeyNotFound);
    expect(check([txn([get('')])])).toBe(errors.EmptyKey);
  });

  it.each<[string, RequestOp[], boolean]>([
    ['two puts of a key', [put('a'), put('a')], true],
    ['two puts of two keys', [put('a'), put('b')], false],
    ['put and delete of a key', [put('a'), del('a')], true],
    ['put within a deleted range', [del('a', 'c'), put('b')], true],
    ['put at the end of a deleted range', [del('a', 'c'), put('c')], false],
    ['put after everything from a key is deleted', [del('a', '\0'), put('b')], false],
    ['two deletes of a key', [del('a'), del('a', 'c')], false],
    ['nested put and put', [txn([put('a')]), put('a')], true],
    ['nested put and delete', [txn([put('a')]), del('a')], true],
    ['nested delete and put', [txn([], [del('a')]), put('a')], true],
    ['put in both branches', [txn([put('a')], [put('a')])], false],
    ['put in a branch each of two children', [txn([put('a')]), txn([], [put('a')])], true],
    ['put in one child and delete in the next', [txn([put('a')]), txn([del('a')])], false],
    ['delete in one child and put in the next', [txn([del('a')]), txn([put('a')])], true],
    ['twice within a child', [txn([put('a'), put('a')])], true],
    ['deeply nested', [put('a'), txn([txn([txn([put('a')])])])], true],
  ])('%s', (_, ops, duplicate) => {
    expect(check(ops)).toBe(duplicate ? errors.DuplicateKey : undefined);
    expect(check([], ops)).toBe(duplicate ? errors.DuplicateKey : undefined);
  });

  it('are read-only if they hold only ranges, and serializable if all ranges are', () => {
    expect(isReadonlyTxn(TxnRequest.create({}))).toBe(true);
    expect(isReadonlyTxn(TxnRequest.create({ success: [get('a')], failure: [put('a')] }))).toBe(false);
    expect(isReadonlyTxn(TxnRequest.create({ success: [txn([get('a')])] }))).toBe(false);
    const serializable = get('a', { serializable: true });
    expect(isSerializableTxn(TxnRequest.create({ success: [serializable], failure: [serializable] }))).toBe(
      true,
    );
    expect(isSerializableTxn(TxnRequest.create({ success: [serializable], failure: [get('a')] }))).toBe(
      false,
    );
  });
});
