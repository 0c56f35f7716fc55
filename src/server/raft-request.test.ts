import { describe, expect, it } from 'vitest';
import { InternalRaftRequest, PutRequest } from '../wire/gen/etcdserverpb.ts';
import { allocateWithRoom } from '../wire/room.ts';
import { encodeRaftRequest, RaftRequestField } from './raft-request.ts';

const auth = { username: 'somebody', revision: 300 };

function putOf(bytes: number): Buffer {
  return PutRequest.encode(PutRequest.create({ key: Buffer.from('k'), value: Buffer.alloc(bytes, 'v') }));
}

/** The same bytes as a large request that arrived in several frames. */
function received(request: Buffer): Buffer {
  const bytes = allocateWithRoom(request.length);
  request.copy(bytes);
  return bytes;
}

describe('the log entry of a request', () => {
  it.each([10, 100_000])('has the bytes of the request and its header, with a value of %i bytes', (bytes) => {
    const put = putOf(bytes);
    const entry = InternalRaftRequest.decode(encodeRaftRequest(RaftRequestField.put, put, 7, 9, auth));
    expect(entry.put && PutRequest.encode(entry.put).equals(put)).toBe(true);
    expect(entry.header).toEqual({ id: (7n << 48n) | 9n, username: 'somebody', authRevision: 300 });
  });

  it('is written around a large request that was received with room, and the request stays as it is', () => {
    const put = putOf(100_000);
    const body = received(put);
    const inPlace = encodeRaftRequest(RaftRequestField.txn, body, 7, 2 ** 40, auth);
    expect(inPlace.buffer).toBe(body.buffer);
    expect(inPlace.equals(encodeRaftRequest(RaftRequestField.txn, put, 7, 2 ** 40, auth))).toBe(true);
    expect(body.equals(put)).toBe(true);
  });

  it('has memory of its own if another entry has taken the room', () => {
    const body = received(putOf(100_000));
    const first = encodeRaftRequest(RaftRequestField.put, body, 7, 1);
    const before = Buffer.from(first);
    const second = encodeRaftRequest(RaftRequestField.put, body, 7, 2, auth);
    expect(second.buffer).not.toBe(body.buffer);
    expect(first.equals(before)).toBe(true);
  });

  it.each([
    ['a request whose field comes after the header', RaftRequestField.authUserAdd, 'somebody'],
    ['a user name that is longer than the room', RaftRequestField.put, 'u'.repeat(1000)],
  ])('has memory of its own for %s', (_, field, username) => {
    const put = putOf(100_000);
    const body = received(put);
    const data = encodeRaftRequest(field, body, 7, 1, { username, revision: 1 });
    expect(data.buffer).not.toBe(body.buffer);
    expect(data.equals(encodeRaftRequest(field, put, 7, 1, { username, revision: 1 }))).toBe(true);
  });

  it('does not use memory around a part of a request', () => {
    const whole = received(putOf(200_000));
    const part = whole.subarray(0, 100_000);
    const data = encodeRaftRequest(RaftRequestField.put, part, 7, 1);
    expect(data.buffer).not.toBe(whole.buffer);
    expect(whole.equals(putOf(200_000))).toBe(true);
  });
});
