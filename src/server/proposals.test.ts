import { describe, expect, it } from 'vitest';
import { headerOnly } from '../apply/results.ts';
import { Proposals } from './proposals.ts';
import { RaftRequestField } from './raft-request.ts';
import { RequestIds } from './request-ids.ts';

const MAX_BYTES = 100_000;

function setUp() {
  const proposed: Buffer[] = [];
  const state = { now: 0 };
  const ids = new RequestIds(1n, 0);
  const proposals = new Proposals({
    ids,
    now: () => state.now,
    timeoutMs: 1000,
    maxInflightBytes: MAX_BYTES,
    refusal: () => undefined,
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

describe('large requests under way', () => {
  it('are refused beyond the limit, and taken again once some are done', () => {
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

  it('count no more once nobody waits for them', () => {
    const { proposals, proposed, put, state } = setUp();
    put(60_000);
    state.now = 5000;
    proposals.expire(() => new Error('late'));
    put(60_000);
    expect(proposed).toHaveLength(2);
  });
});
