import { describe, expect, it } from 'vitest';
import { headerOnly } from '../apply/results.ts';
import { type EtcdError, errors as etcdErrors } from '../wire/errors.ts';
import { Proposals } from './proposals.ts';
import { RaftRequestField } from './raft-request.ts';
import { RequestIds } from './request-ids.ts';

const MAX_BYTES = 100_000;
const MB = 1_000_000;

function setUp(maxInflightBytes = MAX_BYTES) {
  const proposed: Buffer[] = [];
  const state: { now: number; refusal?: EtcdError } = { now: 0 };
  const ids = new RequestIds(1n, 0);
  const proposals = new Proposals({
    ids,
    now: () => state.now,
    timeoutMs: 1000,
    maxInflightBytes,
    refusal: () => state.refusal,
    propose: (data) => proposed.push(data),
  });
  const errors: string[] = [];
  const put = (bytes: number): void =>
    proposals.propose(RaftRequestField.put, Buffer.alloc(bytes), undefined, {
      settled: () => undefined,
      failed: (error) => errors.push(error.message),
    });
  return { proposals, proposed, errors, put, state, ids };
}

describe('large requests in flight', () => {
  it('are refused above the limit, and accepted again when some are done', () => {
    const { proposals, proposed, errors, put, ids } = setUp();
    put(60_000);
    const first = ids.last;
    put(60_000);
    expect(errors).toEqual(['etcdserver: too many requests']);
    put(100);
    expect(proposed).toHaveLength(2);
    proposals.take(first)?.settled(headerOnly(1));
    put(60_000);
    expect(proposed).toHaveLength(3);
  });

  it('do not count after their callers have stopped waiting', () => {
    const { proposals, proposed, put, state } = setUp();
    put(60_000);
    state.now = 5000;
    proposals.expire(() => new Error('late'));
    put(60_000);
    expect(proposed).toHaveLength(2);
  });
});

describe('large requests above the window', () => {
  it('wait for earlier ones; small requests do not wait', () => {
    const { proposals, proposed, put, ids } = setUp(100 * MB);
    const sequences: number[] = [];
    for (let n = 0; n < 5; n++) {
      put(1.2 * MB);
      sequences.push(ids.last);
    }
    put(100);
    const sizes = (): number[] => proposed.map(({ length }) => Math.round(length / MB));
    expect(sizes()).toEqual([1, 1, 0]);
    proposals.take(sequences[0]!)?.settled(headerOnly(1));
    put(100);
    expect(sizes()).toEqual([1, 1, 0, 1, 0]);
    for (const sequence of sequences.slice(1)) proposals.take(sequence)?.settled(headerOnly(1));
    expect(sizes()).toEqual([1, 1, 0, 1, 0, 1, 1]);
  });

  it('are proposed one at a time when they are larger than the window', () => {
    const { proposals, proposed, put, ids } = setUp(100 * MB);
    put(10 * MB);
    const first = ids.last;
    put(10 * MB);
    expect(proposed).toHaveLength(1);
    proposals.take(first)?.settled(headerOnly(1));
    expect(proposed).toHaveLength(2);
  });

  it('are not proposed after their callers have stopped waiting', () => {
    const { proposals, proposed, errors, put, state } = setUp(100 * MB);
    for (let n = 0; n < 5; n++) put(1.2 * MB);
    state.now = 5000;
    proposals.expire(() => new Error('late'));
    expect(errors).toHaveLength(5);
    expect(proposed).toHaveLength(2);
    put(1.2 * MB);
    expect(proposed).toHaveLength(3);
    for (let n = 0; n < 5; n++) put(1.2 * MB);
    proposals.failAll(new Error('stopped'));
    expect(errors).toHaveLength(11);
    expect(proposed).toHaveLength(4);
  });

  it('do not fail with a leader to which they were not sent', () => {
    const { proposals, proposed, errors, put, ids } = setUp(100 * MB);
    for (let n = 0; n < 5; n++) put(1.2 * MB);
    proposals.leaderGone();
    proposals.termBegan();
    expect(errors).toHaveLength(2);
    expect(proposed).toHaveLength(4);
    proposals.take(ids.last - 2)?.settled(headerOnly(1));
    expect(proposed).toHaveLength(5);
  });

  it('are refused when the disk has become full while they waited', () => {
    const { proposals, proposed, errors, put, state, ids } = setUp(100 * MB);
    for (let n = 0; n < 5; n++) put(1.2 * MB);
    state.refusal = etcdErrors.NoSpace;
    proposals.take(ids.last - 4)?.settled(headerOnly(1));
    expect(errors).toEqual(Array.from({ length: 3 }, () => etcdErrors.NoSpace.message));
    expect(proposed).toHaveLength(2);
    expect(proposals.pending).toBe(1);
  });
});
