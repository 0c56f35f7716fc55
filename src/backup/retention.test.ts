import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../lib/seeded-random.ts';
import type { CatalogEntry } from './catalog.ts';
import { backupId, byOrder, type Manifest, objectName } from './manifest.ts';
import { abandonedObjects, expiredBackups } from './retention.ts';

const DAY = 86_400_000;
const NOW = Date.parse('2026-11-22T00:00:00Z');

function entry(
  sequence: number,
  fields: Partial<Manifest> & { ageDays?: number; fault?: string; isVerified?: boolean } = {},
): CatalogEntry {
  const { ageDays = 0, fault, isVerified = true, ...rest } = fields;
  const time = new Date(NOW - ageDays * DAY);
  const revision = rest.revision ?? sequence * 10;
  const id = backupId(sequence, revision, time, '00000000');
  const manifest: Manifest = {
    formatVersion: 1,
    id,
    sequence,
    revision,
    clusterId: 'c1',
    memberId: 'a1',
    compactRevision: -1,
    hashKv: 1,
    object: objectName(id, false),
    bytes: 1,
    sha256: '0'.repeat(64),
    time: time.toISOString(),
    keysteadVersion: '0',
    ...(isVerified ? { verifiedAt: time.toISOString() } : {}),
    ...rest,
  };
  return { manifest, fault };
}

const sequences = (entries: readonly CatalogEntry[]): number[] =>
  entries.map(({ manifest }) => manifest.sequence);
const expired = (
  entries: readonly CatalogEntry[],
  rules: { keepLast?: number; keepDays?: number },
  now = NOW,
): number[] =>
  sequences(expiredBackups(entries, { keepLast: undefined, keepDays: undefined, ...rules }, now));

describe('retention', () => {
  const daily = Array.from({ length: 10 }, (_, n) => entry(n + 1, { ageDays: 9 - n }));

  it('keeps the newest ones, or the younger ones, or what either rule keeps', () => {
    expect(expired(daily, { keepLast: 3 })).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(expired(daily, { keepDays: 4 })).toEqual([1, 2, 3, 4, 5, 6]);
    expect(expired(daily, { keepLast: 2, keepDays: 4 })).toEqual([1, 2, 3, 4, 5, 6]);
    expect(expired(daily, { keepLast: 6, keepDays: 4 })).toEqual([1, 2, 3, 4]);
    expect(expired(daily, {})).toEqual([]);
  });

  it('keeps the last verified one, whatever the rules are', () => {
    const entries = [
      entry(1),
      entry(2),
      entry(3, { isVerified: false }),
      entry(4, { fault: 'its object is missing' }),
    ];
    expect(expired(entries, { keepLast: 0 })).toEqual([1, 3, 4]);
    expect(expired(entries, { keepLast: 1 })).toEqual([1]);
    expect(expired([entry(1, { isVerified: false })], { keepLast: 0, keepDays: 0 })).toEqual([]);
  });

  it('does not count damaged backups among the newest', () => {
    const entries = [entry(1), entry(2), entry(3, { fault: 'damaged' }), entry(4, { fault: 'damaged' })];
    expect(expired(entries, { keepLast: 2 })).toEqual([]);
  });

  it('keeps a good one of each cluster', () => {
    const entries = [entry(1, { clusterId: 'c0' }), entry(2), entry(3)];
    expect(expired(entries, { keepLast: 1 })).toEqual([2]);
    expect(expired(entries, { keepDays: 0 })).toEqual([2]);
  });

  it('keeps the last good one when the clock has stepped forwards', () => {
    expect(expired(daily, { keepDays: 4 }, NOW + 5000 * DAY)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(expired(daily, { keepDays: 4, keepLast: 3 }, NOW + 5000 * DAY)).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });

  it('keeps the last good one when the clock has stepped backwards', () => {
    // The newest backup says that it is the oldest.
    const entries = [...daily, entry(11, { ageDays: 3000 })];
    expect(expired(entries, { keepLast: 1 })).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(expired(entries, { keepDays: 4 })).toEqual([1, 2, 3, 4, 5, 6]);
    expect(expired(daily, { keepDays: 4 }, NOW - 5000 * DAY)).toEqual([]);
  });

  it('never removes the last good one under any clock and any rules', () => {
    for (let seed = 1; seed <= 500; seed += 1) {
      const random = new SeededRandom(seed);
      const entries = Array.from({ length: 1 + random.int(8) }, (_, n) =>
        entry(n + 1, {
          ageDays: random.int(4000) - 2000,
          isVerified: random.int(3) > 0,
          ...(random.int(4) === 0 ? { fault: 'damaged' } : {}),
        }),
      );
      const good = entries.filter(
        ({ manifest, fault }) => fault === undefined && manifest.verifiedAt !== undefined,
      );
      const rules = { keepLast: random.int(3), keepDays: random.int(30) };
      const removed = expired(entries, rules, NOW + (random.int(8000) - 4000) * DAY);
      const last = good.at(-1);
      if (last !== undefined) expect(removed, `seed ${seed}`).not.toContain(last.manifest.sequence);
      expect(removed.length).toBeLessThan(entries.length);
    }
  });

  it('orders by sequence, and by revision if two backups ran at once', () => {
    const newer = entry(2, { ageDays: 5 });
    const twin = entry(2, { revision: 30 });
    expect(
      [twin, newer, entry(1)]
        .map(({ manifest }) => manifest)
        .sort(byOrder)
        .map(({ revision }) => revision),
    ).toEqual([10, 20, 30]);
  });

  it('removes what an interrupted run has left only after a day', () => {
    const object = (name: string, ageDays: number) => ({ name, bytes: 1, modifiedMs: NOW - ageDays * DAY });
    const leftovers = [object('old', 1.1), object('young', 0.9), object('future', -5)];
    const catalog = { entries: [], unreadable: [], leftovers, nextSequence: 1 };
    expect(abandonedObjects(catalog, NOW).map(({ name }) => name)).toEqual(['old']);
  });
});
