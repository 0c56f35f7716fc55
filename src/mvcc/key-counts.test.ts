import { expect, it } from 'vitest';
import { runSteps } from '../lib/steps.ts';
import { SeededRandom } from '../lib/seeded-random.ts';
import { EMPTY } from '../wire/reader.ts';
import { KeyCounts } from './key-counts.ts';
import { type KeyRange, keyString } from './key-range.ts';
import { CountingEngine } from './testing/counting-engine.ts';

class World {
  readonly engine = new CountingEngine();
  readonly counts = runSteps(KeyCounts.load(this.engine));
  readonly live = new Set<string>();

  /** Creates the keys that do not exist, and deletes the others, in one batch. */
  change(keys: readonly string[]): void {
    const batch = this.engine.batch();
    for (const key of keys) {
      const isLive = this.live.has(key);
      if (isLive) {
        batch.del('latest', Buffer.from(key));
        this.live.delete(key);
      } else {
        batch.put('latest', Buffer.from(key), EMPTY);
        this.live.add(key);
      }
      this.counts.change(keyString(Buffer.from(key)), isLive ? -1 : 1);
    }
    this.counts.stage(batch);
    this.engine.write(batch);
    this.counts.settle();
  }

  expected(range: KeyRange): number {
    const [start, end] = [keyString(range.start), range.end && keyString(range.end)];
    let count = 0;
    for (const key of this.live) if (key >= start && (end === undefined || key < end)) count += 1;
    return count;
  }
}

const range = (start: string, end: string | undefined): KeyRange => ({
  start: Buffer.from(start),
  end: end === undefined ? undefined : Buffer.from(end),
  single: false,
});

it.each([1, 2, 3])('counts of new ranges and of repeated ones are exact, seed %i', (seed) => {
  const random = new SeededRandom(seed);
  const world = new World();
  const key = (): string => `/k/${String(random.int(4000)).padStart(5, '0')}`;
  const repeated = [
    range('', undefined),
    range('/k/', '/k0'),
    range('/k/01000', '/k/03000x'),
    range('/k/02', undefined),
  ];
  for (let round = 0; round < 50; round += 1) {
    const first = random.int(3900);
    // Neighbours are created and deleted together, so that blocks are split and merged.
    const changed = Array.from({ length: 60 }, (_, at) =>
      random.int(3) === 0 ? key() : `/k/${String(first + at).padStart(5, '0')}`,
    );
    world.change([...new Set(changed)]);
    const ranges = [...repeated, range(key(), key()), range(key(), undefined)];
    for (const each of ranges)
      expect(world.counts.count(each), `${keyString(each.start)} to ${each.end?.toString() ?? ''}`).toBe(
        world.expected(each),
      );
  }
});

it('reads no rows to count a range again, also after changes in it', () => {
  const world = new World();
  for (let at = 0; at < 30; at += 1)
    world.change(Array.from({ length: 100 }, (_, place) => `/pods/${at}/${place}`));
  world.change(['/a', '/z']);
  const pods = range('/pods/', '/pods0');
  expect(world.counts.count(pods)).toBe(3000);
  world.change(['/pods/5/new', '/pods/7/1', '/b', '/pods/7/2']);
  world.engine.rows = 0;
  expect(world.counts.count(pods)).toBe(2999);
  expect(world.engine.rows).toBe(0);
});

it('keeps no ends of ranges that are very long', () => {
  const world = new World();
  for (let at = 0; at < 30; at += 1)
    world.change(Array.from({ length: 100 }, (_, place) => `/pods/${at}/${place}`));
  const long = range('/pods/', `/pods/9${'x'.repeat(2000)}`);
  world.counts.count(long);
  world.engine.rows = 0;
  expect(world.counts.count(long)).toBe(world.expected(long));
  expect(world.engine.rows).toBeGreaterThan(0);
});

it('splits a block without reading the keys of its second half', () => {
  const world = new World();
  const keys = Array.from({ length: 257 }, (_, at) => `/k/${String(at).padStart(3, '0')}`);
  world.change(keys.slice(0, 256));
  world.engine.rows = 0;
  world.change(keys.slice(256));
  expect(world.engine.rows).toBe(130);
  for (const end of ['/k/128', '/k/129', '/k/130', '/k/256'])
    expect(world.counts.count(range('/k/', end))).toBe(world.expected(range('/k/', end)));
});
