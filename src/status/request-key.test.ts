import { expect, it } from 'vitest';
import {
  Compare,
  DeleteRangeRequest,
  LeaseGrantRequest,
  PutRequest,
  RangeRequest,
  type RequestOp,
  TxnRequest,
} from '../wire/gen/etcdserverpb.ts';
import { requestKey } from './request-key.ts';

const key = Buffer.from('/registry/pods/a');
const rangeEnd = Buffer.from('/registry/pods/b');
const value = Buffer.from('secret');
const put: RequestOp = { request: { case: 'requestPut', value: PutRequest.create({ key, value }) } };
const range: RequestOp = { request: { case: 'requestRange', value: RangeRequest.create({ key, rangeEnd }) } };
const remove: RequestOp = {
  request: { case: 'requestDeleteRange', value: DeleteRangeRequest.create({ key }) },
};

function found(path: string, request: Buffer): string | undefined {
  const named = requestKey(path, request);
  return named === undefined ? undefined : `${named.key.toString()}${named.isRange ? ' and more' : ''}`;
}

it.each([
  ['Range', RangeRequest.encode(RangeRequest.create({ key, limit: 5 })), '/registry/pods/a'],
  ['Range', RangeRequest.encode(RangeRequest.create({ key, rangeEnd })), '/registry/pods/a and more'],
  [
    'DeleteRange',
    DeleteRangeRequest.encode(DeleteRangeRequest.create({ key, rangeEnd })),
    '/registry/pods/a and more',
  ],
  ['Put', PutRequest.encode(PutRequest.create({ key, value, lease: 7n })), '/registry/pods/a'],
  ['Put', PutRequest.encode(PutRequest.create({ value })), undefined],
  ['Txn', TxnRequest.encode(TxnRequest.create({ success: [put] })), '/registry/pods/a'],
  ['Txn', TxnRequest.encode(TxnRequest.create({ success: [range] })), '/registry/pods/a'],
  ['Txn', TxnRequest.encode(TxnRequest.create({ failure: [remove] })), '/registry/pods/a'],
  [
    'Txn',
    TxnRequest.encode(
      TxnRequest.create({ compare: [Compare.create({ key: Buffer.from('/b') })], success: [put] }),
    ),
    '/b',
  ],
  ['Txn', TxnRequest.encode(TxnRequest.create({})), undefined],
])('the first key of %s', (method, request, expected) => {
  expect(found(`/etcdserverpb.KV/${method}`, request)).toBe(expected);
});

it('other requests and invalid ones have no key', () => {
  const grant = LeaseGrantRequest.encode(LeaseGrantRequest.create({ id: 1n, ttl: 60 }));
  expect(requestKey('/etcdserverpb.Lease/LeaseGrant', grant)).toBeUndefined();
  expect(
    requestKey('/etcdserverpb.Auth/Authenticate', Buffer.from('\x0a\x04root\x12\x06secret')),
  ).toBeUndefined();
  expect(requestKey('/etcdserverpb.KV/Put', Buffer.from([0x0a, 0x7f, 1]))).toBeUndefined();
  expect(requestKey('/etcdserverpb.KV/Txn', Buffer.from([0xff, 0xff, 0xff]))).toBeUndefined();
});
