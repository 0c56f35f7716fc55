import { constants, PerformanceObserver } from 'node:perf_hooks';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { expect, it } from 'vitest';
import { markEarly, watchCollection } from './early-marking.ts';

const CALL_BUFFERS = 256;
const GROWTH_BYTES = 400 * 2 ** 20;
/** An allocation that marks takes longer, and any other takes less than a microsecond. */
const SLOW_MS = 0.05;

/** Keeps the heap large. */
const live = Array.from({ length: 400_000 }, (_, id) => ({ id, keys: new Set([String(id)]) }));

/**
 * Allocates the buffers of many reads, and keeps those of the last ones.
 *
 * @returns the most allocations in one read in which V8 marked
 */
async function mostMarkingInOneRead(): Promise<number> {
  const kept: Buffer[][] = [];
  let most = 0;
  for (let bytes = 0; bytes < GROWTH_BYTES;) {
    const buffers: Buffer[] = [];
    let slow = 0;
    let before = performance.now();
    for (let made = 0; made < CALL_BUFFERS; made += 1) {
      const buffer = Buffer.allocUnsafeSlow(200);
      bytes += buffer.length;
      buffers.push(buffer);
      const now = performance.now();
      if (now - before > SLOW_MS) slow += 1;
      before = now;
    }
    most = Math.max(most, slow);
    kept.push(buffers);
    if (kept.length > 2500) kept.splice(0, 1000);
    await sleep(1);
  }
  return most;
}

it('keeps V8 from marking the heap while a read allocates its buffers', async () => {
  // As the server is started.
  setFlagsFromString('--no-parallel-scavenge');
  setFlagsFromString('--heap-growing-percent=300');
  expect(await mostMarkingInOneRead()).toBeGreaterThan(CALL_BUFFERS / 8);
  const stop = markEarly();
  expect(await mostMarkingInOneRead()).toBeLessThan(CALL_BUFFERS / 8);
  stop();
  expect(live).toHaveLength(400_000);
});

it('sees a collection at once, though it has looked for it while V8 marked', async () => {
  const MAX_STEPS = 20_000;
  let collections = 0;
  const observer = new PerformanceObserver((list) => {
    collections += list.getEntries().filter(isOfWholeHeap).length;
  });
  observer.observe({ entryTypes: ['gc'] });
  const dropped = new MessageChannel().port1;
  dropped.close();
  await turn();
  const before = collections;
  const isCollected = watchCollection(MAX_STEPS);
  await turn();
  let seen = false;
  for (let step = 0; step < MAX_STEPS && collections === before; step += 1) {
    seen ||= isCollected();
    dropped.postMessage(undefined, [new ArrayBuffer(64 * 2 ** 20)]);
    if (step % 4 === 3) await turn();
  }
  observer.disconnect();
  expect(collections).toBeGreaterThan(before);
  expect(seen).toBe(true);
  expect(live).toHaveLength(400_000);
});

function isOfWholeHeap(entry: object): boolean {
  const { kind } = (entry as { detail: { kind: number } }).detail;
  return kind === constants.NODE_PERFORMANCE_GC_MAJOR;
}
