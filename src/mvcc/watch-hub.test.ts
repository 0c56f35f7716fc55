import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../lib/seeded-random.ts';
import { MemoryEngine } from '../storage/memory-engine.ts';
import { WatchResponse } from '../wire/gen/etcdserverpb.ts';
import type { Event } from '../wire/gen/mvccpb.ts';
import { CompactionJob } from './compaction.ts';
import { inRange, keyRange } from './key-range.ts';
import { MvccStore } from './store.ts';
import type { EventBatch } from './watch-event.ts';
import { WatchHub, type WatchPacing } from './watch-hub.ts';
import type { WatchOptions, WatchOutlet, WatchReceiver, Watcher } from './watcher.ts';

/** An event in the form that model and watchers are compared in. */
interface Seen {
  readonly main: number;
  readonly key: string;
  readonly value: string | undefined;
  readonly create: number;
  readonly previous: string | undefined;
}

function decode(batch: EventBatch): Seen[] {
  const { events } = WatchResponse.decode(Buffer.concat(batch.parts));
  expect(Buffer.concat(batch.parts).equals(Buffer.concat(batch.fields))).toBe(true);
  expect(batch.fields).toHaveLength(events.length);
  expect(batch.bytes).toBe(batch.fields.reduce((sum, { length }) => sum + length, 0));
  return events.map(seen);
}

function seen({ type, kv, prevKv }: Event): Seen {
  return {
    main: kv!.modRevision,
    key: kv!.key.toString(),
    value: type === 1 ? undefined : kv!.value.toString(),
    create: kv!.createRevision,
    previous: prevKv?.value.toString(),
  };
}

/** A store with a hub, and the whole history as a model. */
class World {
  readonly engine = new MemoryEngine();
  readonly store = new MvccStore(this.engine);
  readonly hub: WatchHub;
  readonly history: Seen[] = [];
  readonly live = new Map<string, { value: string; create: number }>();
  /** Called by receivers during a delivery. */
  meanwhile: (() => void) | undefined;
  #job: CompactionJob | undefined;

  constructor(options: WatchPacing = {}) {
    this.hub = new WatchHub(this.store, options);
  }

  /** Applies one batch. Each inner list is one transaction with changes of different keys. */
  apply(txns: readonly (readonly { key: string; value: string | undefined }[])[]): void {
    for (const changes of txns) {
      const txn = this.store.begin();
      for (const { key, value } of changes) {
        const main = this.store.revision + 1;
        const before = this.live.get(key);
        if (value === undefined) {
          txn.deleteRange(keyRange(Buffer.from(key), Buffer.alloc(0)));
          if (before === undefined) continue;
          this.live.delete(key);
          this.history.push({ main, key, value, create: 0, previous: before.value });
        } else {
          txn.put(Buffer.from(key), Buffer.from(value), 0n);
          const create = before?.create ?? main;
          this.live.set(key, { value, create });
          this.history.push({ main, key, value, create, previous: before?.value });
        }
      }
      txn.end();
    }
    const batch = this.engine.batch();
    this.store.stage(batch);
    this.engine.write(batch);
    const events = this.store.committed();
    if (events.length > 0) this.hub.notify(events);
  }

  put(key: string, value: string): void {
    this.apply([[{ key, value }]]);
  }

  compact(revision: number): void {
    const batch = this.engine.batch();
    if (this.store.compact(revision, batch) !== undefined) return;
    this.engine.write(batch);
    this.#job?.cancel();
    this.#job = new CompactionJob(this.store, revision);
  }

  /** A slice of the removal. */
  remove(count: number): void {
    const batch = this.engine.batch();
    if (this.#job?.step(batch, count) === true) this.#job = undefined;
    this.engine.write(batch);
  }

  settle(): void {
    while (this.hub.step());
  }
}

/** Records what a watcher gets, and checks each response against the one before. */
class Recorder implements WatchReceiver {
  readonly events: Seen[] = [];
  readonly revisions: number[] = [];
  compactedAt: number | undefined;
  isClosed = false;
  readonly #world: World;
  readonly watcher: Watcher;
  readonly startRevision: number;

  constructor(
    world: World,
    readonly outlet: WatchOutlet,
    options: Partial<WatchOptions> & Pick<WatchOptions, 'range'>,
    readonly hasRoom: () => boolean = () => true,
  ) {
    this.#world = world;
    this.startRevision =
      options.startRevision === undefined || options.startRevision === 0
        ? world.store.revision + 1
        : options.startRevision;
    this.watcher = world.hub.watch(
      { startRevision: 0, prevKv: false, noPut: false, noDelete: false, ...options },
      outlet,
      this,
    );
  }

  deliver(batch: EventBatch): boolean {
    expect(this.isClosed || this.compactedAt !== undefined || this.outlet.isFull).toBe(false);
    const events = decode(batch);
    expect(events[0]!.main).toBe(batch.firstRevision);
    expect(events[0]!.main).toBeGreaterThan(this.revisions.at(-1) ?? 0);
    expect(events.at(-1)!.main).toBeLessThanOrEqual(batch.revision);
    this.events.push(...events);
    this.revisions.push(batch.revision);
    const hasRoom = this.hasRoom();
    this.#world.meanwhile?.();
    return hasRoom;
  }

  compacted(revision: number): void {
    expect(this.isClosed || this.compactedAt !== undefined).toBe(false);
    this.compactedAt = revision;
    this.#world.meanwhile?.();
  }

  /** The events that it must have got up to a revision. */
  expected(world: World, upTo: number): Seen[] {
    const { range, noPut, noDelete, prevKv } = this.watcher.options;
    return world.history
      .filter(
        ({ main, key }) => main >= this.startRevision && main <= upTo && inRange(range, Buffer.from(key)),
      )
      .filter(({ value }) => (value === undefined ? !noDelete : !noPut))
      .map((event) => (prevKv ? event : { ...event, previous: undefined }));
  }

  check(world: World, upTo: number): void {
    const expected = this.expected(world, upTo);
    const compacted = world.store.compactRevision;
    const normal = this.events.map((event, at) =>
      event.previous === undefined && event.main - 1 < compacted
        ? { ...event, previous: expected[at]?.previous }
        : event,
    );
    expect(normal).toEqual(expected);
  }
}

const key = (name: string): Pick<WatchOptions, 'range'> => ({
  range: keyRange(Buffer.from(name), Buffer.alloc(0)),
});
const range = (start: string, end: string): Pick<WatchOptions, 'range'> => ({
  range: keyRange(Buffer.from(start), Buffer.from(end)),
});

describe('WatchHub', () => {
  it('gives the events of a batch in one response, encoded once', () => {
    const world = new World();
    const outlet = world.hub.open();
    const parts: unknown[] = [];
    const receiver = {
      deliver(batch: EventBatch): boolean {
        parts.push(batch.parts[0]);
        expect(decode(batch).map(({ value }) => value)).toEqual(['1', '2']);
        expect(batch.revision).toBe(4);
        return true;
      },
      compacted: () => undefined,
    };
    const options = { ...key('a'), startRevision: 0, prevKv: false, noPut: false, noDelete: false };
    for (let n = 0; n < 3; n += 1) world.hub.watch(options, outlet, receiver);
    world.apply([[{ key: 'a', value: '1' }], [{ key: 'a', value: '2' }], [{ key: 'b', value: '3' }]]);
    expect(parts).toHaveLength(3);
    expect(new Set(parts).size).toBe(1);
    expect(world.hub.counters.eventsTotal).toBe(6);
  });

  it('keeps the changes of one revision together however many they are, over several steps', () => {
    const world = new World();
    const changes = Array.from({ length: 3000 }, (_, n) => ({
      key: `k${String(n).padStart(4, '0')}`,
      value: 'v',
    }));
    world.apply([changes]);
    world.put('k', 'after');
    const recorder = new Recorder(world, world.hub.open(), { ...range('k', 'l'), startRevision: 2 });
    let steps = 1;
    while (world.hub.step()) steps += 1;
    expect(steps).toBeGreaterThan(3);
    recorder.check(world, world.store.revision);
    expect(recorder.revisions.at(-1)).toBe(3);
  });

  it('gathers very many changes in steps, and gives them to watchers that have seen all before as a whole', () => {
    const world = new World();
    let backlogs = 0;
    world.hub.onBacklog = () => (backlogs += 1);
    const outlet = world.hub.open();
    const early = new Recorder(world, outlet, { ...range('k', 'l'), prevKv: true });
    const changes = Array.from({ length: 3000 }, (_, n) => ({
      key: `k${String(n).padStart(4, '0')}`,
      value: 'v',
    }));
    world.apply([changes]);
    expect(early.events).toHaveLength(0);
    world.put('k', 'after');
    world.hub.step();
    // One that begins meanwhile sees only what comes after that.
    const late = new Recorder(world, outlet, range('k', 'l'));
    world.hub.flush();
    expect(world.hub.isCurrent(early.watcher) || world.hub.isCurrent(late.watcher)).toBe(false);
    expect(early.events).toHaveLength(0);
    let steps = 1;
    while (world.hub.step()) steps += 1;
    expect(steps).toBeGreaterThan(4);
    world.put('k', 'last');
    early.check(world, world.hub.revision);
    late.check(world, world.hub.revision);
    expect(late.events).toHaveLength(1);
    expect(early.revisions).toHaveLength(3);
    expect(backlogs).toBe(1);
    expect(world.hub.isCurrent(early.watcher)).toBe(true);
    expect(world.hub.pendingEvents).toBe(0);
  });

  // One event to 10,000 watchers took more than 30 ms in one turn.
  it('gives an event to very many watchers in steps, and later events after it', () => {
    const world = new World({ responsesPerStep: 10 });
    let backlogs = 0;
    world.hub.onBacklog = () => (backlogs += 1);
    const outlets = Array.from({ length: 5 }, () => world.hub.open());
    const recorders = outlets.flatMap((outlet) =>
      Array.from({ length: 20 }, () => new Recorder(world, outlet, { ...key('k'), prevKv: true })),
    );
    const served = (): number => recorders.filter(({ events }) => events.length > 0).length;
    world.put('k', 'first');
    expect(served()).toBe(10);
    expect(backlogs).toBe(1);
    world.hub.step();
    expect(served()).toBe(20);
    world.put('k', 'second');
    const last = recorders.pop();
    if (last !== undefined) {
      last.isClosed = true;
      world.hub.remove(last.watcher);
    }
    const late = new Recorder(world, world.hub.open(), key('k'));
    let isWritable = false;
    world.hub.writable(outlets[0]!, () => (isWritable = true));
    expect(isWritable).toBe(false);
    world.settle();
    expect(isWritable).toBe(true);
    world.put('k', 'third');
    world.settle();
    for (const recorder of [...recorders, late]) recorder.check(world, world.hub.revision);
    expect(recorders.every(({ events }) => events.length === 3)).toBe(true);
    expect(late.events).toHaveLength(1);
    expect(last?.events).toHaveLength(0);
    // A question about one watcher is answered at once.
    world.put('k', 'fourth');
    expect(world.hub.isCurrent(recorders[98]!.watcher)).toBe(true);
    expect(recorders[98]?.events).toHaveLength(4);
  });

  it('pauses after many responses, and gathers events during the pause', () => {
    const world = new World({ responsesPerPauseMs: 2 });
    const pauses: number[] = [];
    world.hub.onPause = (pauseMs) => pauses.push(pauseMs);
    const outlet = world.hub.open();
    const recorders = Array.from({ length: 5 }, () => new Recorder(world, outlet, key('a')));
    for (let n = 0; n < 3; n += 1) world.put('a', `${n}`);
    expect(recorders[0]!.revisions).toEqual([2]);
    expect(world.hub.pendingEvents).toBe(2);
    const late = new Recorder(world, outlet, key('a'));
    world.hub.flush(true);
    expect(recorders[0]!.revisions).toEqual([2, 4]);
    world.put('a', 'seen when asked');
    expect(world.hub.isCurrent(late.watcher)).toBe(true);
    expect(late.revisions).toEqual([5]);
    for (const recorder of recorders) recorder.check(world, 5);
    expect(pauses).toEqual([2, 2]);
    for (let n = 0; n < 20; n += 1) world.put('a', 'large'.repeat(20_000));
    expect(world.hub.pendingEvents).toBeLessThan(20);
  });

  it('a full outlet delays only its own watchers', () => {
    const world = new World();
    const full = world.hub.open();
    const slow = new Recorder(world, full, key('a'), () => false);
    const fast = new Recorder(world, world.hub.open(), key('a'));
    for (let n = 0; n < 10; n += 1) world.put('a', `${n}`);
    fast.check(world, world.store.revision);
    expect(slow.events).toHaveLength(1);
    expect(world.hub.counters.slowWatchers).toBe(1);
    expect(world.hub.isCurrent(slow.watcher)).toBe(false);
    expect(world.hub.step()).toBe(false);
    world.hub.writable(full);
    world.settle();
    slow.check(world, world.store.revision);
    expect(slow.revisions).toEqual([2, 11]);
    expect(world.hub.counters.slowWatchers).toBe(0);
  });

  it('cancels watchers that start below the compaction or fall behind it', () => {
    const world = new World();
    const full = world.hub.open();
    const overtaken = new Recorder(world, full, key('a'), () => false);
    for (let n = 0; n < 10; n += 1) world.put('a', `${n}`);
    world.compact(8);
    const late = new Recorder(world, world.hub.open(), { ...key('a'), startRevision: 7 });
    const just = new Recorder(world, world.hub.open(), { ...key('a'), startRevision: 8 });
    world.settle();
    world.hub.writable(full);
    world.settle();
    expect([late.compactedAt, just.compactedAt, overtaken.compactedAt]).toEqual([8, undefined, 8]);
    just.check(world, world.store.revision);
    expect(world.hub.counters).toMatchObject({ watchers: 3, slowWatchers: 0 });
    for (const { watcher } of [late, just, overtaken]) world.hub.remove(watcher);
    expect(world.hub.counters).toMatchObject({ watchers: 0, slowWatchers: 0 });
  });

  it.each([0, 2])(
    'reads previous values as a read of the revision before would (%i slices removed)',
    (slices) => {
      const world = new World();
      for (let n = 2; n <= 6; n += 1) world.put('a', `${n}`);
      world.compact(4);
      for (let n = 0; n < slices; n += 1) world.remove(100);
      const recorder = new Recorder(world, world.hub.open(), { ...key('a'), startRevision: 4, prevKv: true });
      world.settle();
      expect(recorder.events.map(({ previous }) => previous)).toEqual([undefined, '4', '5']);
    },
  );

  it('moves a catch-up back for a slower watcher and loses no events of the others', () => {
    const world = new World({ stepChanges: 4 });
    world.apply(Array.from({ length: 4100 }, (_, n) => [{ key: 'a', value: `${n}` }]));
    const outlet = world.hub.open();
    const watch = (startRevision: number): Recorder =>
      new Recorder(world, outlet, { ...key('a'), startRevision });
    const recorders = [4000, 3000, 2000, 1000].map(watch);
    for (let step = 0; step < 4; step += 1) world.hub.step();
    expect(world.hub.pendingEvents).toBe(16);
    recorders.push(watch(1002), watch(1));
    world.settle();
    for (const recorder of recorders) recorder.check(world, world.store.revision);
  });

  it('resumes in the history of a store that replaces its own', () => {
    const world = new World();
    const stale = new World();
    for (const each of [world, stale]) each.put('a', '1');
    const recorder = new Recorder(stale, stale.hub.open(), key('a'));
    const future = new Recorder(stale, stale.hub.open(), { ...key('a'), startRevision: 6 });
    for (let n = 2; n <= 4; n += 1) world.put('a', `${n}`);
    stale.hub.restored(world.store);
    stale.settle();
    expect(recorder.events.map(({ value }) => value)).toEqual(['2', '3', '4']);
    world.put('a', '5');
    world.put('a', '6');
    expect(future.events).toEqual([]);
  });
});

describe('WatchHub whose receivers call it during a delivery', () => {
  it('resumes a watcher whose outlet became writable during the delivery that filled it', () => {
    const world = new World();
    const outlet = world.hub.open();
    const slow = new Recorder(world, outlet, key('a'), () => false);
    const later = new Recorder(world, outlet, key('a'));
    world.meanwhile = () => world.hub.writable(outlet);
    world.put('a', '1');
    world.put('a', '2');
    world.settle();
    for (const recorder of [slow, later]) recorder.check(world, world.store.revision);
  });

  it('delivers to all other watchers when a stream closes during a delivery', () => {
    const world = new World();
    const ending = world.hub.open();
    const staying = world.hub.open();
    const recorders = [ending, staying, ending, staying, staying].map(
      (outlet) => new Recorder(world, outlet, key('a')),
    );
    world.meanwhile = () => {
      for (const recorder of recorders) {
        if (recorder.outlet !== ending) continue;
        recorder.isClosed = true;
        world.hub.remove(recorder.watcher);
      }
    };
    world.put('a', '1');
    for (const recorder of recorders.filter(({ isClosed }) => !isClosed)) recorder.check(world, 2);
    expect(recorders.filter(({ isClosed }) => isClosed).map(({ events }) => events.length)).toEqual([1, 0]);
    expect(world.hub.counters).toMatchObject({ watchers: 3, slowWatchers: 0 });
  });

  it('moves a catch-up back only between deliveries', () => {
    const world = new World({ stepChanges: 1 });
    world.apply(Array.from({ length: 5000 }, (_, n) => [{ key: 'a', value: `${n}` }]));
    const outlet = world.hub.open();
    const parked = world.hub.open();
    const watch = (startRevision: number, where = outlet): Recorder =>
      new Recorder(world, where, { ...key('a'), startRevision });
    parked.isFull = true;
    const recorders = [watch(1, parked), ...[1100, 2200, 3300, 4400].map((at) => watch(at))];
    let told = 0;
    world.meanwhile = () => {
      told += 1;
      if (told === 3) world.hub.writable(parked);
    };
    world.settle();
    for (const recorder of recorders) recorder.check(world, world.store.revision);
  });

  it('reads further requests of a client when its watches resume', () => {
    const world = new World();
    const outlet = world.hub.open();
    const order: string[] = [];
    new Recorder(world, outlet, key('a'), () => false);
    world.meanwhile = () => {
      world.hub.writable(outlet, () => order.push(`resumed, full: ${outlet.isFull}`));
      order.push('delivered');
    };
    world.put('a', '1');
    expect(order).toEqual(['delivered', 'resumed, full: false']);
  });
});

describe('WatchHub against a simple model', () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    it(`random history ${seed}`, () => randomHistory(new SeededRandom(seed), false));
  }
  for (let seed = 1; seed <= 30; seed += 1) {
    it(`random history ${seed} with calls during deliveries`, () =>
      randomHistory(new SeededRandom(seed), true));
  }
});

function randomHistory(random: SeededRandom, isReentrant: boolean): void {
  const world = new World({
    ...(random.chance(0.5) ? { responsesPerPauseMs: 1 } : {}),
    ...(random.chance(0.5) ? { stepChanges: random.between(1, 4) } : {}),
    ...(random.chance(0.5) ? { largeEvents: random.int(4) } : {}),
    ...(random.chance(0.5) ? { responsesPerStep: random.between(1, 3) } : {}),
  });
  let pauses = 0;
  world.hub.onPause = () => (pauses += 1);
  const outlets = Array.from({ length: 4 }, () => world.hub.open());
  const recorders: Recorder[] = [];
  const name = (): string => random.pick(['a', 'b', 'ba', 'c', 'd', 'e']);
  let serial = 0;
  const value = (): string => `${++serial}`.padEnd(random.chance(0.05) ? 100_000 : 1, '.');
  const slowness = random.pick([0, 0.2, 0.7]);

  const mutate = (): void => {
    const txns = Array.from({ length: random.between(1, random.chance(0.1) ? 200 : 5) }, () => {
      const keys = new Set(Array.from({ length: random.between(1, 3) }, name));
      return [...keys].map((each) => ({ key: each, value: random.chance(0.3) ? undefined : value() }));
    });
    world.apply(txns);
  };
  const watch = (): void => {
    const target = random.chance(0.5) ? key(name()) : range(name(), random.pick(['b', 'c', 'f', '\0']));
    const { start, end, single } = target.range;
    if (!single && end !== undefined && Buffer.compare(start, end) >= 0) return;
    const current = world.store.revision;
    const startRevision = random.pick([
      0,
      0,
      random.between(1, current),
      current + 1,
      current + random.int(20),
    ]);
    const flag = (): boolean => random.chance(0.3);
    recorders.push(
      new Recorder(
        world,
        random.pick(outlets),
        { ...target, startRevision, prevKv: flag(), noPut: random.chance(0.1), noDelete: random.chance(0.1) },
        () => !random.chance(slowness),
      ),
    );
  };
  const remove = (): void => {
    if (recorders.length === 0) return;
    const recorder = random.pick(recorders);
    recorder.isClosed = true;
    world.hub.remove(recorder.watcher);
  };
  const endPause = (): void => {
    if (pauses === 0) return;
    expect(pauses).toBe(1);
    pauses = 0;
    world.hub.flush(true);
  };
  const checkCurrent = (): void => {
    for (const recorder of recorders) {
      if (!recorder.isClosed && world.hub.isCurrent(recorder.watcher))
        recorder.check(world, world.hub.revision);
    }
  };

  let depth = 0;
  let isEnding = false;
  if (isReentrant)
    world.meanwhile = () => {
      if (depth > 0 || !random.chance(0.3)) return;
      depth += 1;
      const dice = random.int(10);
      if (dice < 6) world.hub.writable(random.pick(outlets));
      // In the end there might be more new ones than get everything.
      else if (dice < 8 && !isEnding) watch();
      else if (dice < 9) remove();
      else checkCurrent();
      depth -= 1;
    };

  for (let step = 0; step < 200; step += 1) {
    const dice = random.int(100);
    if (dice < 35) mutate();
    else if (dice < 50) watch();
    else if (dice < 52) remove();
    else if (dice < 55) world.compact(random.between(1, world.store.revision));
    else if (dice < 65) world.remove(random.between(1, 20));
    else if (dice < 80) world.hub.writable(random.pick(outlets));
    else if (dice < 90) world.hub.step();
    else if (dice < 97) endPause();
    else checkCurrent();
  }
  isEnding = true;
  for (let round = 0; round < 100_000; round += 1) {
    for (const outlet of outlets) world.hub.writable(outlet);
    world.hub.flush();
    if (world.hub.step() || outlets.some(({ parked }) => parked.size > 0)) continue;
    // Events that waited to be gathered may now wait for the end of a pause.
    if (world.hub.pendingEvents === 0) break;
  }
  expect(outlets.every(({ parked }) => parked.size === 0)).toBe(true);
  for (const recorder of recorders) {
    if (recorder.isClosed) continue;
    if (recorder.compactedAt === undefined) recorder.check(world, world.store.revision);
    else checkLost(world, recorder, recorder.compactedAt);
  }
  for (const recorder of recorders) world.hub.remove(recorder.watcher);
  for (const outlet of outlets) world.hub.close(outlet);
  expect(world.hub.counters).toMatchObject({ watchers: 0, slowWatchers: 0, outlets: 0 });
  expect(world.hub.pendingEvents).toBe(0);
}

/** A canceled watcher has received everything before its position, and its next revision is compacted. */
function checkLost(world: World, recorder: Recorder, compactedAt: number): void {
  const upTo = recorder.events.at(-1)?.main ?? 0;
  recorder.check(world, upTo);
  expect(Math.max(upTo, recorder.startRevision)).toBeLessThan(compactedAt);
}
