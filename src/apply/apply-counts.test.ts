import { expect, it } from 'vitest';
import { InternalRaftRequest } from '../wire/gen/etcdserverpb.ts';
import { requestName, ApplyCounts } from './apply-counts.ts';

function drained(counts: ApplyCounts): string[] {
  const found: string[] = [];
  counts.drain((name, isRefused, count) => found.push(`${count} ${isRefused ? 'refused ' : ''}${name}`));
  return found;
}

it('requests are counted once, by kind and result', () => {
  const counts = new ApplyCounts();
  const grant = InternalRaftRequest.create({ leaseGrant: { ttl: 1, id: 1n } });
  const empty = InternalRaftRequest.create();
  counts.countPut(false);
  counts.countPut(false);
  counts.countPut(true);
  counts.count(grant, false);
  counts.count(grant, true);
  counts.count(empty, false);
  expect(drained(counts)).toEqual([
    '2 Put',
    '1 refused Put',
    '1 LeaseGrant',
    '1 refused LeaseGrant',
    '1 unknown',
  ]);
  expect(drained(counts)).toEqual([]);
});

it.each([
  ['put', 'Put'],
  ['authUserChangePassword', 'AuthUserChangePassword'],
  ['nothing', 'unknown'],
])('%s is called %s', (kind, name) => {
  expect(requestName(kind)).toBe(name);
});
