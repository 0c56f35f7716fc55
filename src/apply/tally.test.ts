import { expect, test } from 'vitest';
import { InternalRaftRequest } from '../wire/gen/etcdserverpb.ts';
import { requestName, Tally } from './tally.ts';

function drained(tally: Tally): string[] {
  const found: string[] = [];
  tally.drain((name, isRefused, count) => found.push(`${count} ${isRefused ? 'refused ' : ''}${name}`));
  return found;
}

test('requests are counted by kind and outcome, once', () => {
  const tally = new Tally();
  const grant = InternalRaftRequest.create({ leaseGrant: { ttl: 1, id: 1n } });
  const empty = InternalRaftRequest.create();
  tally.countPut(false);
  tally.countPut(false);
  tally.countPut(true);
  tally.count(grant, false);
  tally.count(grant, true);
  tally.count(empty, false);
  expect(drained(tally)).toEqual([
    '2 Put',
    '1 refused Put',
    '1 LeaseGrant',
    '1 refused LeaseGrant',
    '1 unknown',
  ]);
  expect(drained(tally)).toEqual([]);
});

test.each([
  ['put', 'Put'],
  ['authUserChangePassword', 'AuthUserChangePassword'],
  ['nothing', 'unknown'],
])('%s is called %s', (kind, name) => {
  expect(requestName(kind)).toBe(name);
});
