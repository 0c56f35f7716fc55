import { expect, it } from 'vitest';
import { InternalRaftRequest, PutRequest } from '../wire/gen/etcdserverpb.ts';
import { ConfChange, EntryType } from '../wire/gen/raftpb.ts';
import { isReadableProposal } from './readable-proposal.ts';

const put = InternalRaftRequest.encode(
  InternalRaftRequest.create({ put: PutRequest.create({ key: Buffer.from('k') }) }),
);
const change = ConfChange.encode(ConfChange.create({ nodeId: 1n }));

// Found by fuzzing: such an entry was committed, and the process ended when it was applied.
it.each([
  ['a request', EntryType.EntryNormal, put, true],
  ['a change of the members', EntryType.EntryConfChange, change, true],
  ['nothing', EntryType.EntryNormal, undefined, true],
  ['bytes that are no request', EntryType.EntryNormal, Buffer.from([0, 1, 2]), false],
  ['bytes that are no change', EntryType.EntryConfChange, Buffer.from([0, 1, 2]), false],
  ['a change that is empty', EntryType.EntryConfChange, undefined, false],
  ['a change of the second kind, which members do not propose', EntryType.EntryConfChangeV2, change, false],
])('%s', (_, type, data, expected) => {
  expect(isReadableProposal({ type, data })).toBe(expected);
});
