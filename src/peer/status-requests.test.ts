import { expect, it } from 'vitest';
import type { RemoteStatus } from '../ports/peer-client.ts';
import { decodeStatus, encodeStatus } from './status-requests.ts';

const status: RemoteStatus = {
  version: '1.2.3',
  uptimeSeconds: 60,
  term: 3,
  lead: 0xfedcba9876543210n,
  committed: 100,
  applied: 99,
  revision: 50,
  storeBytes: 1_000_000,
  matches: new Map([
    [1n, 100],
    [0xfedcba9876543210n, 98],
  ]),
  backup: { failures: 1, lastSizeBytes: 5 },
};

it('a status is read as it was sent', () => {
  expect(decodeStatus(encodeStatus(status))).toEqual(status);
  const follower = { ...status, matches: new Map<bigint, number>(), backup: undefined };
  expect(decodeStatus(encodeStatus(follower))).toEqual(follower);
});

it('fields that are absent or of another kind are left out', () => {
  const odd = decodeStatus(
    '{"term":"3","lead":"x","matches":{"zz":1,"2":"9","3":4},"backup":[1],"version":7,"__proto__":{"term":9}}',
  );
  expect(odd).toMatchObject({ term: 0, lead: 0n, version: '', backup: undefined, storeBytes: 0 });
  expect([...odd.matches]).toEqual([[3n, 4]]);
  expect(decodeStatus('{"backup":{"failures":2,"note":"x"}}').backup).toEqual({ failures: 2 });
});

it.each(['', '[]', 'null', '"text"', '{"term":'])('%j is refused', (text) => {
  expect(() => decodeStatus(text)).toThrow();
});
