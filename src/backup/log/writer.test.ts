import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  entries as entriesOf,
  initialRequests,
  kinds,
  LEASE,
  Machine,
  put,
} from '../../apply/testing/machine.ts';
import type { InternalRaftRequest } from '../../wire/gen/etcdserverpb.ts';
import { BackupKey } from '../encryption.ts';
import type { BackupPlace } from '../place.ts';
import { type Chain, lastSegment, logPlaceOf, readLogCatalog } from './chains.ts';
import { type Replayed, replay, type ReplayTarget } from './replay.ts';
import { readGaps } from './verify-log.ts';
import { type Cluster as TestCluster, Cluster, Leader, newPlace, START } from './testing/leader.ts';

async function chainsOf({ place }: TestCluster): Promise<readonly Chain[]> {
  return (await readLogCatalog(logPlaceOf(place))).chains;
}

async function replayed(
  cluster: TestCluster,
  target: ReplayTarget = {},
): Promise<{ machine: Machine; result: Replayed }> {
  const machine = new Machine();
  const chain = (await chainsOf(cluster)).at(-1);
  const log = { place: logPlaceOf(cluster.place), key: cluster.key };
  const result = await replay(machine.engine, log, chain?.segments ?? [], target);
  return { machine, result };
}

/** The rows of a member that has applied the first entries of the log. */
function rowsAfter({ log }: TestCluster, count: number): string[] {
  const machine = new Machine();
  machine.apply(log.slice(0, count));
  return machine.rows();
}

/** Requests with and without a revision, with each kind of change. */
function history(): (Partial<InternalRaftRequest> | undefined)[] {
  return [
    undefined,
    { leaseGrant: { id: LEASE, ttl: 1 } },
    { leaseGrant: { id: 78n, ttl: 500 } },
    put('a', '1'),
    put('b', '2', LEASE),
    put('a', '3'),
    put('none', 'x', 99n),
    { compaction: { revision: 3, physical: false } },
    { authUserAdd: { name: 'u', password: '', options: { noPassword: true }, hashedPassword: '' } },
    put('c', '4', 78n),
    { leaseRevoke: { id: LEASE } },
    { alarm: { action: 1, memberId: 7n, alarm: 1 } },
    put('d', 'refused'),
    { alarm: { action: 2, memberId: 7n, alarm: 1 } },
    put('d', '5'),
    kinds['a transaction that deletes and writes again'],
  ];
}

describe('the log of the backups', () => {
  it.each([
    ['plain', undefined],
    ['encrypted', new BackupKey(randomBytes(32))],
  ])('gives the same store as the entries themselves, after each entry, %s', async (_title, key) => {
    const cluster = new Cluster(newPlace(), key);
    const leader = new Leader(cluster);
    for (const request of history()) {
      cluster.append(request);
      leader.apply();
      await leader.tick();
    }
    expect(leader.counts).toMatchObject({ failures: 0, gaps: 0, segments: history().length });
    const [chain] = await chainsOf(cluster);
    // A segment that grows replaces the one before it.
    expect(chain).toMatchObject({ covered: [], holes: [], segments: [{ first: 1 }] });
    for (let index = 1; index <= cluster.log.length; index += 1) {
      const { machine, result } = await replayed(cluster, { index });
      expect(result).toMatchObject({ isReached: true, applied: { index } });
      expect(machine.rows()).toEqual(rowsAfter(cluster, index));
    }
  });

  it('is read while a server replaces its last segment by a longer one', async () => {
    const cluster = new Cluster();
    const leader = new Leader(cluster);
    cluster.append(put('a', '1'));
    leader.apply();
    await leader.tick();
    const [before] = await chainsOf(cluster);
    cluster.append(put('a', '2'));
    leader.apply();
    await leader.tick();
    const log = { place: logPlaceOf(cluster.place), key: undefined };
    const segments = before?.segments ?? [];
    expect(segments.map(({ name }) => name)).not.toEqual((await log.place.list()).map(({ name }) => name));
    const latest = new Machine();
    const result = await replay(latest.engine, log, segments, {});
    expect(result).toMatchObject({ applied: { index: cluster.log.length } });
    expect(latest.rows()).toEqual(rowsAfter(cluster, cluster.log.length));
    const earlier = new Machine();
    await replay(earlier.engine, log, segments, { index: 1 });
    expect(earlier.rows()).toEqual(rowsAfter(cluster, 1));
  });

  it('reaches each revision, and stops before later changes without a revision', async () => {
    const cluster = new Cluster();
    const leader = new Leader(cluster);
    cluster.append(...history());
    leader.apply();
    await leader.tick();
    const first = new Map<number, number>();
    const machine = new Machine();
    for (const [at, entry] of cluster.log.entries()) {
      machine.apply([entry]);
      if (!first.has(machine.store.revision)) first.set(machine.store.revision, at + 1);
    }
    first.delete(1);
    expect(first.size).toBeGreaterThan(5);
    for (const [revision, count] of first) {
      const { machine: restored, result } = await replayed(cluster, { revision });
      expect(result).toMatchObject({ revision, isReached: true });
      expect(restored.rows()).toEqual(rowsAfter(cluster, count));
    }
    const { result } = await replayed(cluster, { revision: machine.store.revision + 1 });
    expect(result).toMatchObject({ isReached: false, revision: machine.store.revision });
  });

  it('reaches a time: the last change at that time or before it', async () => {
    const cluster = new Cluster();
    const leader = new Leader(cluster);
    for (const value of ['1', '2', '3']) {
      cluster.append(put('a', value));
      leader.apply();
      await leader.tick();
    }
    const timeOf = (n: number): number => START + 100 + n * 5_100;
    for (const [timeMs, index] of [
      [timeOf(0), 1],
      [timeOf(1) - 1, 1],
      [timeOf(1), 2],
      [timeOf(2), 3],
    ] as const) {
      const { result } = await replayed(cluster, { timeMs });
      expect(result).toMatchObject({ isReached: true, applied: { index } });
    }
    expect((await replayed(cluster, { timeMs: timeOf(2) + 1 })).result.isReached).toBe(false);
  });

  it('is cut into segments by size, which have all entries, also large ones', async () => {
    const cluster = new Cluster();
    const leader = new Leader(cluster);
    for (let n = 0; n < 40; n += 1) {
      cluster.append(put(`key${n % 9}`, randomBytes(n === 20 ? 3 << 20 : 150_000).toString('latin1')));
      leader.apply();
      if (n % 3 === 0) await leader.tick();
    }
    await leader.tick();
    const [chain] = await chainsOf(cluster);
    expect(chain?.segments.length).toBeGreaterThan(5);
    expect(chain).toMatchObject({ covered: [], holes: [] });
    expect((await replayed(cluster)).machine.rows()).toEqual(leader.machine.rows());
  });

  it('has large changes, which are applied over several turns', async () => {
    const cluster = new Cluster();
    const leader = new Leader(cluster);
    cluster.append(
      ...initialRequests(),
      kinds['a delete of a range'],
      kinds['the end of a lease'],
      put('y', 'z'),
    );
    leader.apply();
    await leader.tick();
    expect((await replayed(cluster)).machine.rows()).toEqual(leader.machine.rows());
    expect(entriesOf([])).toEqual([]);
  });
});

describe('a new leader', () => {
  it('continues the log of the one before it', async () => {
    const cluster = new Cluster();
    const first = new Leader(cluster);
    const second = new Leader(cluster);
    cluster.append(...history());
    for (const member of [first, second]) member.apply();
    await first.tick();
    cluster.append(put('x', '1'), put('x', '2'));
    for (const member of [first, second]) member.apply();
    cluster.term = 2;
    cluster.append(undefined, put('x', '3'));
    second.apply();
    await second.tick();
    expect(second.counts.gaps).toBe(0);
    const chains = await chainsOf(cluster);
    expect(chains).toHaveLength(1);
    expect(chains[0]?.segments.map(({ first: from }) => from)).toEqual([1, history().length + 1]);
    expect((await replayed(cluster)).machine.rows()).toEqual(second.machine.rows());
    expect(second.requested).toEqual([expect.stringContaining('no backup is followed by the log c1-')]);
  });

  it('and one that does not know that it lost the leadership write the same entries', async () => {
    const cluster = new Cluster();
    const first = new Leader(cluster);
    const second = new Leader(cluster);
    cluster.append(put('x', '1'));
    for (const member of [first, second]) member.apply();
    await first.tick();
    await second.tick();
    cluster.append(put('x', '2'), put('x', '3'));
    first.apply();
    await first.tick();
    second.apply();
    cluster.append(put('x', '4'));
    second.apply();
    await second.tick();
    const [chain] = await chainsOf(cluster);
    expect(chain).toMatchObject({ holes: [] });
    expect((await replayed(cluster)).machine.rows()).toEqual(second.machine.rows());
  });

  const damages: Readonly<Record<string, (cluster: Cluster, end: string) => Promise<Leader> | Leader>> = {
    'the leader no longer has the entries 3 to 4': (cluster) =>
      new Leader(cluster, { base: { index: 4, term: 1 } }),
    'the last stored entry is 2, but the leader has applied 1': (cluster) => {
      cluster.log.length = 1;
      return new Leader(cluster);
    },
    'the stored entry 2 has term 1, but the leader has one of term 9': (cluster) => {
      cluster.log.length = 1;
      cluster.term = 9;
      cluster.append(put('other', 'x'), put('other', 'y'));
      return new Leader(cluster);
    },
    'the stored entry 2 is not that of the leader': (cluster) => {
      cluster.log.length = 1;
      cluster.append(put('other', 'x'));
      return new Leader(cluster);
    },
    'has another key': (cluster) => new Leader(cluster, { key: new BackupKey(randomBytes(32)) }),
    'is damaged: its SHA-256 is not that of its bytes': async (cluster, end) => {
      await logPlaceOf(cluster.place).put(end, damaged(logPlaceOf(cluster.place), end));
      return new Leader(cluster);
    },
  };
  it.each(Object.keys(damages))('notices a gap: %s', async (reason) => {
    const cluster = new Cluster();
    const first = new Leader(cluster);
    cluster.append(put('x', '1'), put('x', '2'));
    first.apply();
    await first.tick();
    cluster.append(put('x', '3'), put('x', '4'));
    const end = lastSegment((await chainsOf(cluster))[0] as Chain).name;
    const second = await damages[reason]?.(cluster, end);
    second?.apply();
    await second?.tick();
    expect(second?.counts.gaps).toBe(1);
    expect(second?.requested).toEqual([expect.stringContaining(reason)]);
    cluster.append(put('x', '5'));
    second?.apply();
    await second?.tick();
    const chains = await chainsOf(cluster);
    expect(chains.map(({ id }) => id.sequence)).toEqual([1, 2]);
    if (reason.includes('key')) return;
    const gaps = await readGaps(chains, { place: logPlaceOf(cluster.place), key: undefined });
    expect(gaps).toEqual([
      { title: 'log c1-00000002-0000000a', reason: expect.stringContaining(reason) as string },
    ]);
  });
});

async function* damaged(place: BackupPlace, name: string): AsyncGenerator<Buffer, void> {
  for await (const part of place.get(name)) {
    const bytes = Buffer.from(part);
    bytes[bytes.length - 40] = (bytes[bytes.length - 40] ?? 0) ^ 1;
    yield bytes;
  }
}

describe('a place that cannot be written', () => {
  it('is tried again, and nothing is lost while the changes fit into memory', async () => {
    const { cluster, away } = unreliable();
    const leader = new Leader(cluster);
    cluster.append(put('x', '0'));
    leader.apply();
    await leader.tick();
    const storedUntil = leader.counts.lastSuccessSeconds;
    away.is = true;
    for (const value of ['1', '2', '3']) {
      cluster.append(put('x', value));
      leader.apply();
      await leader.tick();
    }
    expect(leader.counts).toMatchObject({ failures: 3, lastSuccessSeconds: storedUntil });
    expect(leader.writer.pendingBytes).toBeGreaterThan(0);
    expect(leader.messages.filter((text) => text.startsWith('failed to store the log'))).toHaveLength(1);
    away.is = false;
    await leader.tick();
    expect(leader.counts.gaps).toBe(0);
    expect(leader.counts.lastSuccessSeconds).toBeGreaterThan(storedUntil);
    expect((await replayed(cluster)).machine.rows()).toEqual(leader.machine.rows());
  });

  it('makes a gap when the changes do not fit any more, and memory stays bounded', async () => {
    const { cluster, away } = unreliable();
    const leader = new Leader(cluster, { maxBytes: 100_000 });
    cluster.append(put('x', '0'));
    leader.apply();
    await leader.tick();
    away.is = true;
    for (let n = 0; n < 30; n += 1) {
      cluster.append(put('x', 'v'.repeat(10_000)));
      leader.apply();
      await leader.tick();
      expect(leader.tail.bytesAfter(0)).toBeLessThanOrEqual(100_000);
    }
    away.is = false;
    await leader.tick();
    await leader.tick();
    expect(leader.counts.gaps).toBe(1);
    expect(leader.requested.at(-1)).toContain('were not stored in time');
    expect((await chainsOf(cluster)).map(({ id }) => id.sequence)).toEqual([1, 2]);
  });

  function unreliable(): { cluster: Cluster; away: { is: boolean } } {
    const away = { is: false };
    const place = newPlace();
    const check = (): void => {
      if (away.is) throw new Error('away');
    };
    const wrap = (inner: BackupPlace): BackupPlace => ({
      url: inner.url,
      list: async () => (check(), inner.list()),
      put: async (name, bytes) => (check(), inner.put(name, bytes)),
      get: (name) => (check(), inner.get(name)),
      remove: async (name) => (check(), inner.remove(name)),
      folder: (name) => wrap(inner.folder(name)),
    });
    return { cluster: new Cluster(wrap(place)), away };
  }
});

describe('a damaged log', () => {
  it('is named, with the segment that is missing, damaged or of another history', async () => {
    const cluster = new Cluster();
    const leader = new Leader(cluster);
    for (let n = 0; n < 24; n += 1) {
      cluster.append(put(`key${n % 9}`, randomBytes(150_000).toString('latin1')));
      leader.apply();
    }
    await leader.tick();
    const [chain] = await chainsOf(cluster);
    const segments = chain?.segments ?? [];
    expect(segments.length).toBeGreaterThan(2);
    const logPlace = logPlaceOf(cluster.place);
    const log = { place: logPlace, key: undefined };
    const [one, two, three] = segments;
    if (one === undefined || two === undefined || three === undefined) throw new Error('three segments');
    await expect(replay(new Machine().engine, log, [one, three], {})).rejects.toThrow(
      `the segment ${three.name} cannot be applied: the entries ${two.first} to ${two.last.index} before it are missing`,
    );
    const other = new Machine();
    other.apply(entriesOf([put('other', '1')]).map((entry) => ({ ...entry, term: 5 })));
    await expect(replay(other.engine, log, segments, {})).rejects.toThrow(
      'entry 1 has term 1, but the store has applied one of term 5',
    );
    const different = new Machine();
    different.apply(entriesOf([{ leaseGrant: { id: 1n, ttl: 5 } }]));
    await expect(replay(different.engine, log, segments, {})).rejects.toThrow('but the cluster had');
    await logPlace.put(two.name, logPlace.get(one.name));
    await expect(replay(new Machine().engine, log, segments, {})).rejects.toThrow(
      `the segment ${two.name} is damaged`,
    );
    await logPlace.remove(two.name);
    await expect(replay(new Machine().engine, log, segments, {})).rejects.toThrow(
      `the segment ${two.name} is missing`,
    );
    expect((await chainsOf(cluster))[0]?.holes).toEqual([
      { from: two.first, to: two.last.index, before: one, after: three },
    ]);
  });
});
