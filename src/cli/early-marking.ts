import { getHeapStatistics } from 'node:v8';
import { HeapGrowth } from './heap-growth.ts';

/** Growth of the buffers after which marking starts. It takes some tenths of a second; V8 itself starts after 64 MB. */
const START_BYTES = 28 * 2 ** 20;
/** A smaller heap is marked in a few milliseconds. */
const MIN_HEAP_BYTES = 32 * 2 ** 20;
/** Each step marks one part in 256 of the heap, at most 256 KB. Other threads mark as well. */
const STEPS = 256;
/** Milliseconds of one turn for steps. */
const TURN_MS = 4;
const CHECK_EVERY_MS = 50;
/**
 * V8 marks when so many bytes are allocated at once, however few there were before. Over 32 MB, glibc always maps the
 * memory, and does not change its own limits when it is freed. It is never touched.
 */
const STEP_BYTES = 64 * 2 ** 20;

/** What V8 has in memory, in bytes. */
export interface MemoryUse {
  readonly heap: number;
  /** Of all buffers. */
  readonly buffers: number;
}

export interface MarkingOptions {
  readonly use: () => MemoryUse;
  /** Starts the marking of the heap, or marks some of it. */
  readonly mark: () => void;
  /**
   * The returned function tells whether V8 has collected the whole heap since this call. It can be called `times` times,
   * from the next turn on.
   */
  readonly watchCollection: (times: number) => () => boolean;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Runs a task in one of the next turns of the event loop. */
  readonly soon: (task: () => void) => void;
}

/**
 * Has V8 mark a large heap in short turns.
 *
 * When all buffers together have grown by 64 MB since the heap was last collected, V8 marks the heap for the next
 * collection: a part of it in each allocation of a further buffer. A read of 128 rows allocates up to 256 buffers, in
 * one native call. So one such read marked most of the heap, which took up to 250 ms with 500,000 leases.
 *
 * This starts the marking before V8 would, and goes on for a few milliseconds in each turn. Then it is over before the
 * buffers reach the limit of V8. If the first steps wait for other threads to mark, the next ones are too long: a step
 * is as large as what was allocated since the one before.
 */
export class EarlyMarking {
  readonly #options: MarkingOptions;
  /** The least bytes of all buffers since the last collection. */
  #leastBytes: number;
  #isMarking = false;
  #stepsLeft = 0;
  #isCollected: () => boolean = () => false;
  readonly #turn = (): void => this.#markSome();

  constructor(options: MarkingOptions) {
    this.#options = options;
    this.#leastBytes = options.use().buffers;
  }

  /** Must be called again and again. */
  check(): void {
    const { heap, buffers } = this.#options.use();
    this.#leastBytes = Math.min(this.#leastBytes, buffers);
    if (this.#isMarking || heap < MIN_HEAP_BYTES || buffers - this.#leastBytes < START_BYTES) return;
    this.#isMarking = true;
    this.#stepsLeft = STEPS;
    this.#isCollected = this.#options.watchCollection(STEPS);
    this.#options.soon(this.#turn);
  }

  /** V8 has collected the whole heap. */
  collected(): void {
    this.#stepsLeft = 0;
    this.#leastBytes = this.#options.use().buffers;
  }

  #markSome(): void {
    const { mark, now, soon, use } = this.#options;
    for (const end = now() + TURN_MS; this.#stepsLeft > 0 && now() < end; this.#stepsLeft -= 1) {
      if (this.#isCollected()) {
        // The next step would start the marking for another collection, and first finish sweeping the heap after this one.
        this.#stepsLeft = 0;
        break;
      }
      mark();
    }
    if (this.#stepsLeft > 0) {
      soon(this.#turn);
      return;
    }
    this.#isMarking = false;
    this.#leastBytes = use().buffers;
  }
}

/**
 * Only a collection of the whole heap removes an object with a weak reference, not a partial one. V8 marks what is read
 * through such a reference, so the collection for which it marks just now does not remove it any more. So each reference
 * is read once.
 */
export function watchCollection(times: number): () => boolean {
  const references = Array.from({ length: times }, () => new WeakRef({}));
  return () => references.pop()?.deref() === undefined;
}

/** Marks the heap of this thread early from now on, and sets how far it grows. The returned function ends that. */
export function markEarly(): () => void {
  const dropped = new MessageChannel().port1;
  dropped.close();
  const marking = new EarlyMarking({
    use: () => {
      const { used_heap_size, external_memory } = getHeapStatistics();
      return { heap: used_heap_size, buffers: external_memory };
    },
    // The memory is freed at once, as nobody receives it.
    mark: () => dropped.postMessage(undefined, [new ArrayBuffer(STEP_BYTES)]),
    now: () => performance.now(),
    watchCollection,
    soon: setImmediate,
  });
  // The callback comes in a later turn.
  const collections = new FinalizationRegistry(() => {
    marking.collected();
    noticeNext();
  });
  const noticeNext = (): void => collections.register({}, undefined);
  noticeNext();
  const growth = new HeapGrowth();
  const timer = setInterval(() => {
    marking.check();
    growth.follow(getHeapStatistics().used_heap_size);
  }, CHECK_EVERY_MS).unref();
  return () => clearInterval(timer);
}
