import { describe, expect, it } from 'vitest';
import type { CatalogEntry } from '../catalog.ts';
import { backupId, type Manifest, objectName } from '../manifest.ts';
import type { StoredObject } from '../place.ts';
import { type LogCatalog, logPlaceOf, readLogCatalog } from './chains.ts';
import { planRestore } from './plan.ts';
import { expiredSegments } from './prune-log.ts';
import { segmentName } from './segment-name.ts';
import { Cluster, Leader, newPlace, START } from './testing/leader.ts';
import { put } from '../../apply/testing/machine.ts';

const DAY = 86_400_000;
const log = { place: newPlace(), key: undefined };

/** A segment in which entry n has revision n and is applied n seconds after the start. */
function segment(
  sequence: number,
  first: number,
  last: number,
  { modifiedMs = 0, clusterId = 'c1' } = {},
): StoredObject {
  const name = segmentName({
    clusterId,
    chain: { sequence, random: '0000000a' },
    first,
    last: { index: last, term: 1 },
    revisionBefore: first - 1,
    revision: last,
    keyId: undefined,
    firstTimeMs: START + first * 1000,
    lastTimeMs: START + last * 1000,
  });
  return { name, bytes: 100, modifiedMs };
}

function backup(sequence: number, index: number, fault?: string): CatalogEntry {
  const time = new Date(START + index * 1000);
  const id = backupId(sequence, index, time, '00000000');
  const manifest: Manifest = {
    formatVersion: 1,
    id,
    sequence,
    clusterId: 'c1',
    memberId: 'ab',
    revision: index,
    compactRevision: -1,
    applied: { index, term: 1 },
    hashKv: 1,
    object: objectName(id, false),
    bytes: 1,
    sha256: '0'.repeat(64),
    time: time.toISOString(),
    keysteadVersion: '1',
    verifiedAt: time.toISOString(),
  };
  return { manifest, fault };
}

const catalogOf = (objects: readonly StoredObject[]): Promise<LogCatalog> =>
  readLogCatalog({ list: () => Promise.resolve([...objects]) } as never);

describe('a plan of a restore', () => {
  const plan = async (
    entries: readonly CatalogEntry[],
    objects: readonly StoredObject[],
    target: { revision?: number; timeMs?: number },
  ): Promise<[sequence: number, firsts: number[]]> => {
    const { chains } = await catalogOf(objects);
    const { manifest, segments } = await planRestore(entries, chains, log, target);
    return [manifest.sequence, segments.map(({ first }) => first)];
  };
  const objects = [segment(1, 1, 50), segment(1, 51, 100), segment(1, 101, 150)];
  const entries = [backup(1, 20), backup(2, 60), backup(3, 120)];

  it('begins with the newest good backup before the moment', async () => {
    expect(await plan(entries, objects, { revision: 59 })).toEqual([1, [1, 51, 101]]);
    expect(await plan(entries, objects, { revision: 60 })).toEqual([2, []]);
    expect(await plan(entries, objects, { revision: 119 })).toEqual([2, [51, 101]]);
    expect(await plan(entries, objects, {})).toEqual([3, [101]]);
    const damaged = [backup(1, 20), backup(2, 60, 'damaged'), backup(3, 120)];
    expect(await plan(damaged, objects, { revision: 119 })).toEqual([1, [1, 51, 101]]);
  });

  it('says why a moment cannot be reached', async () => {
    const fails = (target: { revision?: number; timeMs?: number }, ...from: typeof objects) =>
      expect(plan(entries, from, target)).rejects;
    await fails({ revision: 10 }, ...objects).toThrow('there is no good backup before it');
    await fails({ revision: 151 }, ...objects).toThrow('ends with revision 150 at 2026-11-22T10:02:30.000Z');
    await fails({ timeMs: START + 150_001 }, ...objects).toThrow('ends with revision 150');
    await fails({ revision: 61 }).toThrow('no log follows backup 00000002');
    const [one, , three] = objects as [StoredObject, StoredObject, StoredObject];
    await fails({ revision: 70 }, one, three).toThrow('no log follows backup 00000002');
    await expect(plan([backup(1, 20)], [one, three], { revision: 70 })).rejects.toThrow(
      'the entries 51 to 100 of the log after backup 00000001',
    );
    await expect(plan([backup(1, 20)], [one, three], {})).rejects.toThrow('the entries 51 to 100');
    expect(await plan(entries, [one, three], { revision: 130 })).toEqual([3, [101]]);
  });

  it('does not take the log of another cluster with the same ID, whose revision is another one', async () => {
    const other = segmentName({
      clusterId: 'c1',
      chain: { sequence: 2, random: '0000000b' },
      first: 1,
      last: { index: 200, term: 1 },
      revisionBefore: 1_000_000_000,
      revision: 1_000_000_200,
      keyId: undefined,
      firstTimeMs: START,
      lastTimeMs: START,
    });
    const all = [...objects, { name: other, bytes: 1, modifiedMs: 0 }];
    expect(await plan(entries, all, { revision: 130 })).toEqual([3, [101]]);
  });

  it('does not begin with a backup whose snapshot is of a later moment than its time', async () => {
    const cluster = new Cluster();
    const leader = new Leader(cluster);
    for (const value of ['1', '2', '3']) {
      cluster.append(put('a', value));
      leader.apply();
      await leader.tick();
    }
    const place = logPlaceOf(cluster.place);
    const { chains } = await readLogCatalog(place);
    const second = START + 5_200;
    const early = (sequence: number, index: number): CatalogEntry => {
      const { manifest, fault } = backup(sequence, index);
      return { fault, manifest: { ...manifest, revision: index + 1, time: new Date(START).toISOString() } };
    };
    const both = [early(1, 1), early(2, 2)];
    const at = (timeMs: number) => planRestore(both, chains, { place, key: undefined }, { timeMs });
    expect((await at(second)).manifest.sequence).toBe(2);
    expect((await at(second - 1)).manifest.sequence).toBe(1);
    await expect(at(START + 99)).rejects.toThrow('has changes up to 2026-11-22T10:00:05.200Z');
  });
});

describe('the log that is removed', () => {
  const expired = async (
    objects: readonly StoredObject[],
    kept: readonly CatalogEntry[],
    unreadable: { name: string; reason: string }[] = [],
  ): Promise<string[]> => expiredSegments(await catalogOf(objects), { unreadable }, kept, START + 10 * DAY);

  it('is what is before the oldest kept backup', async () => {
    const [one, two, three] = [segment(1, 1, 50), segment(1, 51, 100), segment(1, 101, 150)];
    expect(await expired([one, two, three], [backup(2, 60), backup(3, 120)])).toEqual([one.name]);
    expect(await expired([one, two, three], [backup(1, 20, 'damaged'), backup(3, 120)])).toEqual([]);
    expect(await expired([one, two, three], [backup(4, 150)])).toEqual([one.name, two.name]);
  });

  it('is an old chain without a backup, but never the newest chain of a cluster', async () => {
    const old = segment(1, 1, 50);
    const newest = segment(2, 60, 90);
    const other = segment(1, 1, 9, { clusterId: 'c2' });
    expect(await expired([old, newest, other], [])).toEqual([old.name]);
    expect(await expired([old, newest, other], [backup(1, 20)])).toEqual([]);
  });

  it('is nothing while a manifest cannot be read', async () => {
    const objects = [segment(1, 1, 50), segment(2, 60, 90)];
    expect(await expired(objects, [], [{ name: 'x', reason: 'y' }])).toEqual([]);
  });

  it('is a segment from before it grew, and what an interrupted write left, after a day', async () => {
    const now = START + 10 * DAY;
    const [short, long] = [segment(1, 1, 40), segment(1, 1, 50)];
    const [recent, part] = [
      segment(1, 1, 30, { modifiedMs: now - 1000 }),
      `${segment(1, 1, 45).name}.0123abcd.part`,
    ];
    const objects = [short, long, recent, { name: part, bytes: 1, modifiedMs: now - 2 * DAY }];
    expect(await expired(objects, [backup(1, 20)])).toEqual([short.name, part]);
  });
});
