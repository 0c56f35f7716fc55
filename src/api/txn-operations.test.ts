import { expect, it } from 'vitest';
import {
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  ResponseHeader,
  TxnRequest,
  TxnResponse,
} from '../wire/gen/etcdserverpb.ts';
import { FAILURE, hasSucceeded, operationsOf, SUCCESS } from './txn-operations.ts';

const key = Buffer.from('key');
const put: RequestOp = {
  request: { case: 'requestPut', value: PutRequest.create({ key, value: Buffer.alloc(300) }) },
};
const range: RequestOp = { request: { case: 'requestRange', value: RangeRequest.create({ key }) } };
const remove: RequestOp = {
  request: { case: 'requestDeleteRange', value: DeleteRangeRequest.create({ key }) },
};

it('the operations of each branch are counted without decoding them', () => {
  const compare = [{ key, result: 0, target: 0, targetUnion: undefined, rangeEnd: Buffer.alloc(0) } as const];
  const request = TxnRequest.encode(
    TxnRequest.create({ compare: [...compare], success: [range, put], failure: [remove, range, range] }),
  );
  const sizeOf = (ops: RequestOp[]): number => ops.reduce((bytes, op) => bytes + RequestOp.size(op), 0);
  expect(operationsOf(request, SUCCESS)).toEqual({ count: 2, bytes: sizeOf([range, put]), hasPut: true });
  const failure = { count: 3, bytes: sizeOf([remove, range, range]), hasPut: false };
  expect(operationsOf(request, FAILURE)).toEqual(failure);
  expect(operationsOf(Buffer.alloc(0), SUCCESS)).toEqual({ count: 0, bytes: 0, hasPut: false });
  expect(() => operationsOf(request.subarray(0, -1), FAILURE)).toThrow('unexpected EOF');
});

it('a response tells whether the comparisons held', () => {
  const header = ResponseHeader.create({ revision: 16, memberId: 0x10n });
  for (const succeeded of [true, false])
    expect(hasSucceeded(TxnResponse.encode(TxnResponse.create({ header, succeeded })))).toBe(succeeded);
});
