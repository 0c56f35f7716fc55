import { describe, expect, it } from 'vitest';
import { encodeMember, encodeMemberContext } from '../membership/member-json.ts';
import {
  InternalRaftRequest,
  LeaseGrantRequest,
  PutRequest,
  RequestHeader,
  RequestOp,
  TxnRequest,
} from '../wire/gen/etcdserverpb.ts';
import { ClusterVersionSetRequest } from '../wire/gen/membershippb.ts';
import { ConfChange, ConfChangeType, EntryType } from '../wire/gen/raftpb.ts';
import { isApplicable } from './applicable-entry.ts';

const header = RequestHeader.create({ id: 7n });
const put = PutRequest.create({ key: Buffer.from('k') });
const putOp = RequestOp.create({ request: { case: 'requestPut', value: put } });

const request = (fields: Partial<InternalRaftRequest>): Buffer =>
  InternalRaftRequest.encode(InternalRaftRequest.create(fields));
const txn = (success: RequestOp[]): Buffer => request({ header, txn: TxnRequest.create({ success }) });
const version = (ver: string): Buffer =>
  request({ id: 7n, clusterVersionSet: ClusterVersionSetRequest.create({ ver }) });

// Found by fuzzing: such an entry was committed, and the process ended when it was applied. etcd ends too.
describe('a request', () => {
  it.each([
    ['put', request({ header, put }), true],
    ['put of an old member, with an id', request({ id: 7n, put }), true],
    ['put without an id', request({ put }), false],
    ['grant of a lease', request({ header, leaseGrant: LeaseGrantRequest.create() }), true],
    ['transaction', txn([putOp]), true],
    ['transaction with an operation of unknown kind', txn([putOp, RequestOp.create()]), false],
    [
      'transaction with such an operation in a nested one',
      txn([
        RequestOp.create({
          request: { case: 'requestTxn', value: TxnRequest.create({ failure: [RequestOp.create()] }) },
        }),
      ]),
      false,
    ],
    ['cluster version', version('3.7.0'), true],
    ['cluster version that is no version', version('latest'), false],
    ['unknown kind', request({ header }), false],
    ['bytes that are no request', Buffer.from([0, 1, 2]), false],
    ['nothing', undefined, true],
    ['no bytes', Buffer.alloc(0), true],
  ])('%s', (_, data, expected) => {
    expect(isApplicable({ type: EntryType.EntryNormal, data })).toBe(expected);
  });
});

describe('a change of the members', () => {
  const member = { id: 5n, name: 'm', peerUrls: ['http://127.0.0.1:1'], clientUrls: [], isLearner: false };
  const change = (fields: Partial<ConfChange>): Buffer => ConfChange.encode(ConfChange.create(fields));
  const { ConfChangeAddNode, ConfChangeRemoveNode, ConfChangeUpdateNode } = ConfChangeType;

  it.each([
    ['removal', change({ type: ConfChangeRemoveNode, nodeId: 5n }), true],
    ['update', change({ type: ConfChangeUpdateNode, nodeId: 5n, context: encodeMember(member) }), true],
    [
      'addition',
      change({
        type: ConfChangeAddNode,
        nodeId: 5n,
        context: encodeMemberContext({ member, isPromote: false }),
      }),
      true,
    ],
    ['addition without the member', change({ nodeId: 5n }), false],
    ['addition of another member', change({ nodeId: 6n, context: encodeMember(member) }), false],
    ['addition of text', change({ nodeId: 5n, context: Buffer.from('five') }), false],
    ['unknown type', change({ type: 9 as ConfChangeType, nodeId: 5n }), false],
    ['bytes that are no change', Buffer.from([0, 1, 2]), false],
    ['nothing', undefined, false],
  ])('%s', (_, data, expected) => {
    expect(isApplicable({ type: EntryType.EntryConfChange, data })).toBe(expected);
  });
});

it('is no change of the second kind, which members do not propose', () => {
  const data = ConfChange.encode(
    ConfChange.create({ type: ConfChangeType.ConfChangeRemoveNode, nodeId: 1n }),
  );
  expect(isApplicable({ type: EntryType.EntryConfChangeV2, data })).toBe(false);
});
