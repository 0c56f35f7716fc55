import { expect, it } from 'vitest';
import { MessageType, Role } from '../raft/types.ts';
import { EntryType, Message } from '../wire/gen/raftpb.ts';
import { messageFault } from './message-fault.ts';

const follower = { role: Role.Follower, term: 3, lead: 1n };
const unreadable = { type: EntryType.EntryNormal, term: 3, index: 8, data: Buffer.from([0, 1, 2]) };
const message = (fields: Partial<Message>): Message => Message.create({ term: 3, from: 1n, ...fields });
const { MsgApp, MsgHeartbeat, MsgProp, MsgSnap, MsgVote } = MessageType;

it.each([
  ['an append', follower, { type: MsgApp, entries: [{ ...unreadable, data: undefined }] }, undefined],
  // The process ended when such an entry was committed, and again at each start.
  [
    'an append with an entry that cannot be applied',
    follower,
    { type: MsgApp, entries: [unreadable] },
    'an entry cannot be applied',
  ],
  [
    'a proposal that cannot be applied',
    follower,
    { type: MsgProp, entries: [unreadable] },
    'a proposal cannot be applied',
  ],
  ['a number that is not exact', follower, { type: MsgVote, index: 2 ** 60 }, 'numbers out of range'],
  // Raft asserts that a term has one leader.
  ['a second leader', follower, { type: MsgHeartbeat, from: 2n }, 'another member leads this term'],
  ['a leader of a later term', follower, { type: MsgHeartbeat, from: 2n, term: 4 }, undefined],
  ['a leader while none is known', { ...follower, lead: 0n }, { type: MsgSnap, from: 2n }, undefined],
  [
    'a second leader, to a leader',
    { ...follower, role: Role.Leader },
    { type: MsgApp, from: 2n },
    'another member leads this term',
  ],
  [
    'the winner of an election, to a candidate',
    { ...follower, role: Role.Candidate },
    { type: MsgApp, from: 2n },
    undefined,
  ],
])('%s', (_, state, fields, expected) => {
  expect(messageFault(state, message(fields))).toBe(expected);
});
