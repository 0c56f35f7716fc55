import { describe, expect, it } from 'vitest';
import { EarlyMarking } from './early-marking.ts';

const MB = 2 ** 20;

/** A heap that takes a millisecond for each step of marking. */
class Heap {
  use = { heap: 100 * MB, buffers: 10 * MB };
  marked = 0;
  isCollected = false;
  /** The step that ends with a collection. */
  collectsAt = Infinity;
  #nowMs = 0;
  readonly #tasks: (() => void)[] = [];
  readonly marking = new EarlyMarking({
    use: () => this.use,
    mark: () => {
      this.marked += 1;
      this.#nowMs += 1;
      if (this.marked === this.collectsAt) this.isCollected = true;
    },
    watchCollection: (times) => {
      let left = times;
      return () => {
        left -= 1;
        expect(left).toBeGreaterThanOrEqual(0);
        return this.isCollected;
      };
    },
    now: () => this.#nowMs,
    soon: (task) => this.#tasks.push(task),
  });

  grow(megabytes: number): void {
    this.use = { ...this.use, buffers: this.use.buffers + megabytes * MB };
  }

  /** Steps in each turn until nothing is left to do. */
  turns(): number[] {
    const turns: number[] = [];
    for (let task = this.#tasks.shift(); task !== undefined; task = this.#tasks.shift()) {
      const before = this.marked;
      task();
      turns.push(this.marked - before);
    }
    return turns;
  }
}

describe('EarlyMarking', () => {
  it('marks the heap a few milliseconds in each turn when the buffers have grown by 28 MB', () => {
    const heap = new Heap();
    heap.grow(27);
    heap.marking.check();
    expect(heap.turns()).toEqual([]);
    heap.grow(1);
    heap.marking.check();
    heap.marking.check();
    expect(heap.turns()).toEqual(Array.from({ length: 64 }, () => 4));
    // All is marked until the buffers have grown again.
    heap.marking.check();
    expect(heap.turns()).toEqual([]);
    heap.grow(28);
    heap.marking.check();
    expect(heap.turns()).toHaveLength(64);
  });

  it('ends when the heap is collected', () => {
    const heap = new Heap();
    heap.grow(28);
    heap.marking.check();
    heap.marking.collected();
    expect(heap.turns()).toEqual([0]);
    heap.marking.check();
    expect(heap.turns()).toEqual([]);
    heap.grow(28);
    heap.marking.check();
    expect(heap.turns()).toHaveLength(64);
  });

  it('does not start again between a collection and the call that tells of it', () => {
    const heap = new Heap();
    heap.grow(28);
    heap.marking.check();
    heap.isCollected = true;
    expect(heap.turns()).toEqual([0]);
  });

  it('does not start again in the turn of a collection', () => {
    const heap = new Heap();
    heap.grow(28);
    heap.marking.check();
    heap.collectsAt = 6;
    expect(heap.turns()).toEqual([4, 2]);
  });

  it('counts from the least size, as V8 does', () => {
    const heap = new Heap();
    heap.grow(27);
    heap.marking.check();
    heap.grow(-35);
    heap.marking.check();
    heap.grow(27);
    heap.marking.check();
    expect(heap.turns()).toEqual([]);
    heap.grow(1);
    heap.marking.check();
    expect(heap.turns()).toHaveLength(64);
  });

  it('leaves a small heap alone', () => {
    const heap = new Heap();
    heap.use = { ...heap.use, heap: 20 * MB };
    heap.grow(100);
    heap.marking.check();
    expect(heap.turns()).toEqual([]);
  });
});
