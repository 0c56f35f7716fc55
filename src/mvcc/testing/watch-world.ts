import { expect } from 'vitest';
import type { SeededRandom } from '../../lib/seeded-random.ts';
import { MemoryEngine } from '../../storage/memory-engine.ts';
import { WatchResponse } from '../../wire/gen/etcdserverpb.ts';
import type { Event } from '../../wire/gen/mvccpb.ts';
import { CompactionJob } from '../compaction.ts';
import { inRange, keyRange } from '../key-range.ts';
import { MvccStore } from '../store.ts';
import type { EventBatch } from '../watch-event.ts';
import { WatchHub } from '../watch-hub.ts';
import type { WatchPacing } from '../watch-pacing.ts';
import type { WatchOptions, WatchOutlet, WatchReceiver, Watcher } from '../watcher.ts';

/** An event in the form that model and watchers are compared in. */
interface Seen {
  readonly main: number;
  readonly key: string;
  readonly value: string | undefined;
  readonly create: number;
  readonly previous: string | undefined;
}

export function decode(batch: EventBatch): Seen[] {
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
export class World {
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
export class Recorder implements WatchReceiver {
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

export const key = (name: string): Pick<WatchOptions, 'range'> => ({
  range: keyRange(Buffer.from(name), Buffer.alloc(0)),
});
export const range = (start: string, end: string): Pick<WatchOptions, 'range'> => ({
  range: keyRange(Buffer.from(start), Buffer.from(end)),
});

export function randomHistory(random: SeededRandom, isReentrant: boolean): void {
  const world = new World({
    ...(random.chance(0.5) ? { responsesPerPauseMs: 1 } : {}),
    ...(random.chance(0.5) ? { stepChanges: random.between(1, 4) } : {}),
    ...(random.chance(0.5) ? { largeEvents: random.int(4) } : {}),
    ...(random.chance(0.5) ? { responsesPerStep: random.between(1, 3) } : {}),
    ...(random.chance(0.5) ? { eventsPerStep: random.between(1, 3) } : {}),
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
