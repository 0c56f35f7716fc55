import { setFlagsFromString } from 'node:v8';

/** V8 collects the whole heap in any case when the buffers have grown by so much since the last time. */
const BUFFER_BYTES = 64 * 2 ** 20;
/** What src/launch.ts sets. The limit is then four times what is live, the most that V8 chooses by itself. */
const LEAST_PERCENT = 300;
/** For a heap of 9 MB, that of an idle member. */
const MOST_PERCENT = 700;
const STEP_PERCENT = 50;

/**
 * How far heap and buffers together may grow until V8 collects the whole heap, in percent of the live heap.
 *
 * V8 has one limit for both, a multiple of the live heap. A member has a small heap, but large requests pass through it
 * in buffers. A heap of 9 MB left room for 30 MB of them, so V8 marked the heap after every nine transactions of 1.2 MB.
 * This leaves room for 64 MB. A heap of 21 MB or more has it anyway.
 */
export function growthPercent(heapBytes: number): number {
  const percent = Math.floor((100 * BUFFER_BYTES) / heapBytes / STEP_PERCENT) * STEP_PERCENT;
  return Math.min(MOST_PERCENT, Math.max(LEAST_PERCENT, percent));
}

/** Sets the growth for all threads of this process. V8 uses it at the end of the next collection. */
export class HeapGrowth {
  #percent = LEAST_PERCENT;

  /** @param heapBytes the heap of the main thread in use */
  follow(heapBytes: number): void {
    const percent = growthPercent(heapBytes);
    if (percent === this.#percent) return;
    this.#percent = percent;
    setFlagsFromString(`--heap-growing-percent=${percent}`);
  }
}
