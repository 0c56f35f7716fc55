import { expect } from 'vitest';
import { key, Recorder, World } from './watch-world.ts';

/** A catch-up moves back for a slower watcher and loses no events. The history has some more than four parts. */
export function moveBackForSlower(part: number): void {
  const world = new World({ stepChanges: 4 });
  world.apply(Array.from({ length: 4 * part + 100 }, (_, n) => [{ key: 'a', value: `${n}` }]));
  const outlet = world.hub.open();
  const watch = (startRevision: number): Recorder =>
    new Recorder(world, outlet, { ...key('a'), startRevision });
  const recorders = [4, 3, 2, 1].map((at) => at * part).map(watch);
  for (let step = 0; step < 4; step += 1) world.hub.step();
  expect(world.hub.pendingEvents).toBe(16);
  recorders.push(watch(part + 2), watch(1));
  world.settle();
  for (const recorder of recorders) recorder.check(world, world.store.revision);
}

/** A catch-up moves back only between deliveries. The history has five parts. */
export function moveBackBetweenDeliveries(part: number): void {
  const world = new World({ stepChanges: 1 });
  world.apply(Array.from({ length: 5 * part }, (_, n) => [{ key: 'a', value: `${n}` }]));
  const outlet = world.hub.open();
  const parked = world.hub.open();
  const watch = (startRevision: number, where = outlet): Recorder =>
    new Recorder(world, where, { ...key('a'), startRevision });
  parked.isFull = true;
  const recorders = [watch(1, parked), ...[1.1, 2.2, 3.3, 4.4].map((at) => watch(at * part))];
  let told = 0;
  world.meanwhile = () => {
    told += 1;
    if (told === 3) world.hub.writable(parked);
  };
  world.settle();
  for (const recorder of recorders) recorder.check(world, world.store.revision);
}
