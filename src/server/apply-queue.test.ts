import { describe, expect, it } from 'vitest';
import { type Entry, EntryType } from '../raft/types.ts';
import { ApplyQueue } from './apply-queue.ts';

/** A batch with one entry for each size, from an index on. */
function batch(firstIndex: number, ...sizes: number[]): { readonly entries: readonly Entry[] } {
  const entries = sizes.map((bytes, at) => ({
    type: EntryType.EntryNormal,
    term: 1,
    index: firstIndex + at,
    data: Buffer.alloc(bytes),
  }));
  return { entries };
}

class Applied {
  readonly slices: number[][] = [];
  /** How many entries of each slice are applied; undefined if none can be now. */
  take: (entries: readonly Entry[]) => number | undefined = (entries) => entries.length;
  readonly queue = new ApplyQueue<ReturnType<typeof batch>>((entries) => {
    this.slices.push(entries.map(({ index }) => index));
    return this.take(entries);
  }, 4);
}

describe('the queue of committed entries', () => {
  it('applies small batches that wait together in one slice', () => {
    const { queue, slices } = new Applied();
    const batches = [batch(1, 9), batch(2, 9, 9), batch(4, 9, 9)];
    for (const each of batches) queue.add(each);
    expect(queue.applySlice(5)).toEqual(batches.slice(0, 2));
    expect(slices).toEqual([[1, 2, 3, 4]]);
    expect(queue.applySlice(1)).toEqual(batches.slice(2));
    expect(slices[1]).toEqual([5]);
    expect(queue.isEmpty).toBe(true);
  });

  it('ends a slice after enough bytes, and at once after a large entry', () => {
    const { queue, slices } = new Applied();
    const half = 128 * 1024;
    queue.add(batch(1, half, half, 9));
    queue.add(batch(4, 9));
    queue.applySlice(4);
    expect(slices).toEqual([[1, 2]]);
    expect(queue.applySlice(2)).toHaveLength(2);
    expect(slices[1]).toEqual([3, 4]);
  });

  it('gives what was not applied again, with what has arrived meanwhile', () => {
    const applied = new Applied();
    const { queue, slices } = applied;
    const [first, second] = [batch(1, 9, 9), batch(3, 9)];
    queue.add(first);
    applied.take = () => 0;
    expect(queue.applySlice(2)).toEqual([]);
    queue.add(second);
    applied.take = () => 1;
    expect(queue.applySlice(3)).toEqual([]);
    applied.take = (entries) => entries.length;
    expect(queue.applySlice(2)).toEqual([first, second]);
    expect(slices).toEqual([
      [1, 2],
      [1, 2, 3],
      [2, 3],
    ]);
  });

  it('waits for resume after a stall', () => {
    const applied = new Applied();
    const { queue, slices } = applied;
    const only = batch(1, 9);
    queue.add(only);
    applied.take = () => undefined;
    expect(queue.applySlice(1)).toEqual([]);
    expect(queue.isReady).toBe(false);
    expect(queue.applySlice(1)).toEqual([]);
    expect(slices).toHaveLength(1);
    applied.take = (entries) => entries.length;
    queue.resume();
    expect(queue.applySlice(1)).toEqual([only]);
  });
});
