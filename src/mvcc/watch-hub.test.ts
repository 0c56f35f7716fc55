import { describe, expect, it } from 'vitest';
import { moveBackBetweenDeliveries, moveBackForSlower } from './testing/catch-up-histories.ts';
import { decode, key, range, Recorder, World } from './testing/watch-world.ts';
import type { EventBatch } from './watch-event.ts';

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

  // The response with 100,000 events of one revision was made in one turn of 30 ms.
  it('makes a response with very many events in steps, for watchers that have seen all before or not', () => {
    const world = new World({ eventsPerStep: 10, largeEvents: 10_000, stepChanges: 10_000 });
    const outlet = world.hub.open();
    const early = new Recorder(world, outlet, range('k', 'l'));
    const changes = Array.from({ length: 200 }, (_, n) => ({ key: `k${n}`, value: 'v' }));
    world.apply([changes]);
    expect(early.events).toHaveLength(0);
    let steps = 0;
    while (world.hub.step()) steps += 1;
    expect(steps).toBeGreaterThan(15);
    const late = new Recorder(world, outlet, { ...range('k', 'l'), startRevision: 2 });
    // What the pause of one watcher gathers is delivered even if it ends during the delivery to another.
    world.hub.step();
    expect(late.events).toHaveLength(0);
    world.put('k', 'meanwhile');
    world.hub.flush(true);
    steps = 0;
    while (world.hub.step()) steps += 1;
    expect(steps).toBeGreaterThan(15);
    for (const recorder of [early, late]) recorder.check(world, 3);
    expect(early.events).toHaveLength(201);
  });

  // A pause that ended during a long delivery of history left the events that it had gathered.
  it('delivers what a pause has gathered if it ends during the delivery of a history', () => {
    const world = new World({
      eventsPerStep: 10,
      largeEvents: 10_000,
      stepChanges: 200,
      responsesPerPauseMs: 1,
    });
    world.apply([Array.from({ length: 200 }, (_, n) => ({ key: `k${n}`, value: 'v' }))]);
    const pauses: number[] = [];
    world.hub.onPause = (pauseMs) => pauses.push(pauseMs);
    const outlet = world.hub.open();
    const synced = new Recorder(world, outlet, key('a'));
    world.put('a', 'first');
    expect(pauses).toHaveLength(1);
    world.put('a', 'second');
    const late = new Recorder(world, outlet, { ...range('k', 'l'), startRevision: 2 });
    world.hub.step();
    world.hub.step();
    expect(late.events).toHaveLength(0);
    world.hub.flush(true);
    world.settle();
    for (const recorder of [synced, late]) recorder.check(world, world.hub.revision);
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

  it('moves a catch-up back for a slower watcher and loses no events of the others', () =>
    moveBackForSlower(50));

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

  it('moves a catch-up back only between deliveries', () => moveBackBetweenDeliveries(50));

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
