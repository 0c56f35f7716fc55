import { expect, it } from 'vitest';
import { SeededRandom } from '../lib/seeded-random.ts';
import { CompactionJob } from '../mvcc/compaction.ts';
import { keyRange } from '../mvcc/key-range.ts';
import { MvccStore } from '../mvcc/store.ts';
import { MemoryEngine } from '../storage/memory-engine.ts';
import { PrefixLabels } from './prefix-labels.ts';
import { canScan, PrefixUsage } from './prefix-usage.ts';
import { fullScan, type ScannedUsage } from './testing/full-scan.ts';

const prefixes = ['/r/*', '/app/'];
const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

function labelOf(key: string): string {
  if (key.startsWith('/app/')) return '/app/';
  const [, root, segment = '', next] = key.split('/');
  if (root !== 'r' || segment === 'rest') return 'other';
  return segment.includes('.') ? `/r/${segment}/${next}` : `/r/${segment}`;
}

function shown(usage: PrefixUsage): Record<string, ScannedUsage> {
  const known: Record<string, ScannedUsage> = {};
  for (const { prefix, keys, bytes, historyBytes } of usage.counts())
    if (bytes > 0 || keys > 0) known[prefix] = { keys, bytes, historyBytes };
  return known;
}

/** A store whose changes are counted, with a process that ends and starts again. */
class World {
  readonly engine = new MemoryEngine();
  store = new MvccStore(this.engine);
  usage = new PrefixUsage(new PrefixLabels(prefixes, 10));
  #scan = this.usage.scan(this.store);
  readonly random: SeededRandom;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
  }

  anyKey(): string {
    const { random } = this;
    const segment = random.pick(['pods', 'leases', 'a.b/c', 'a.b/d', 'x.y/z']);
    return random.pick([`/r/${segment}/${random.int(40)}`, `/app/${random.int(40)}`, `\0${random.int(9)}`]);
  }

  /** Some transactions in one batch. */
  change(): void {
    const { random, store } = this;
    for (let entry = random.int(4); entry >= 0; entry -= 1) {
      const txn = store.begin();
      for (let op = random.int(4); op >= 0; op -= 1) {
        const key = this.anyKey();
        if (random.chance(0.7)) txn.put(bytes(key), bytes('v'.repeat(random.int(300))), 0n);
        else if (random.chance(0.5)) txn.deleteRange(keyRange(bytes(key), bytes('')));
        else txn.deleteRange(keyRange(bytes(`${key.slice(0, -1)}0`), bytes(`${key.slice(0, -1)}3`)));
      }
      txn.end();
    }
    const batch = this.engine.batch();
    store.stage(batch);
    this.engine.write(batch);
    this.usage.add(store.committed());
  }

  compact(): void {
    const { store, engine, random } = this;
    const revision = store.revision - random.int(20);
    const scheduled = engine.batch();
    if (store.compact(revision, scheduled) !== undefined) return;
    engine.write(scheduled);
    const job = new CompactionJob(store, revision, (key, size) => this.usage.removed(key, size));
    for (let done = false; !done;) {
      const batch = engine.batch();
      done = job.step(batch, 7);
      engine.write(batch);
      if (random.chance(0.3)) this.change();
      // A crash in the middle. The next compaction repeats it.
      if (random.chance(0.02)) {
        job.cancel();
        this.restart();
        return;
      }
    }
  }

  /** Everything in memory is lost. */
  restart(): void {
    this.store = new MvccStore(this.engine);
    this.usage = new PrefixUsage(new PrefixLabels(prefixes, 10));
    expect(canScan(this.store)).toBe(true);
    this.#scan = this.usage.scan(this.store);
  }

  stepScan(): void {
    this.#scan.next();
  }
}

it.each([1, 2, 3, 4])('counts are those of a full scan after random changes, seed %i', (seed) => {
  const world = new World(seed);
  let compared = 0;
  for (let round = 0; round < 200; round += 1) {
    world.change();
    if (world.random.chance(0.1)) world.compact();
    if (world.random.chance(0.02)) world.restart();
    if (world.random.chance(0.5)) world.stepScan();
    // A full scan is slow, so not every round compares.
    if (round % 5 !== 0 || !world.usage.isComplete) continue;
    compared += 1;
    const counted = shown(world.usage);
    expect(counted).toEqual(fullScan(world.engine, labelOf));
    const sum = Object.values(counted).reduce((total, each) => total + each.bytes, 0);
    expect(sum).toBe(world.store.sizeBytes);
  }
  expect(compared).toBeGreaterThan(10);
});

it('a store with a part of a large change is not scanned', () => {
  const engine = new MemoryEngine();
  const store = new MvccStore(engine);
  const txn = store.begin();
  for (let key = 0; key < 10; key += 1) txn.put(bytes(`/r/pods/${key}`), bytes('v'), 0n);
  txn.end();
  expect(canScan(store)).toBe(false);
  const batch = engine.batch();
  store.stagePart(batch, 5);
  engine.write(batch);
  // The process ends before the change is committed. Its log has it.
  const again = new MvccStore(engine);
  expect(again.committedRevision).toBe(1);
  expect(canScan(again)).toBe(false);
});

it('writes and watchers are counted without a scan', () => {
  const world = new World(1);
  const { usage, store, engine } = world;
  const txn = store.begin();
  txn.put(bytes('/r/pods/1'), bytes('v'), 0n);
  txn.put(bytes('/app/1'), bytes('v'), 0n);
  txn.end();
  const batch = engine.batch();
  store.stage(batch);
  engine.write(batch);
  usage.add(store.committed());
  const pods = keyRange(bytes('/r/pods/'), bytes('/r/pods0'));
  const unused = keyRange(bytes('/r/unused/'), bytes('/r/unused0'));
  for (const range of [pods, pods, unused]) usage.watching(range, 1);
  usage.watching(pods, -1);
  const counts = usage.counts().map(({ prefix, writes, watchers }) => ({ prefix, writes, watchers }));
  expect(counts).toEqual([
    { prefix: 'other', writes: 0, watchers: 0 },
    { prefix: '/app/', writes: 1, watchers: 0 },
    { prefix: '/r/pods', writes: 1, watchers: 1 },
    { prefix: '/r/unused', writes: 0, watchers: 1 },
  ]);
});
