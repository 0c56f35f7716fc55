import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../lib/seeded-random.ts';
import { newReadNonce, ReadQueue } from './read-queue.ts';

/** The outcomes of the reads of one queue, by name. */
class Outcomes {
  readonly readable: string[] = [];
  readonly failed: string[] = [];

  waiter(name: string) {
    return { readable: () => this.readable.push(name), failed: () => this.failed.push(name) };
  }
}

function newQueue(seed = 1): ReadQueue {
  const random = new SeededRandom(seed);
  return new ReadQueue(newReadNonce((bound) => random.int(bound)));
}

const timeout = (): Error => new Error('timeout');

describe('ReadIndex contexts', () => {
  it('of an earlier process confirm no read', () => {
    const [before, after] = [newQueue(1), newQueue(2)];
    const outcomes = new Outcomes();
    before.add(outcomes.waiter('before'), 1000);
    const late = before.ask(0);
    after.add(outcomes.waiter('after'), 1000);
    const own = after.ask(0);
    expect(own).not.toEqual(late);
    after.confirmed(late, 5);
    after.release(100);
    expect(outcomes.readable).toEqual([]);
    after.confirmed(own, 9);
    after.release(8);
    expect(outcomes.readable).toEqual([]);
    after.release(9);
    expect(outcomes.readable).toEqual(['after']);
  });

  it('confirm earlier batches and no later ones', () => {
    const queue = newQueue();
    const outcomes = new Outcomes();
    const contexts = ['a', 'b', 'c'].map((name) => {
      queue.add(outcomes.waiter(name), 1000);
      return queue.ask(0);
    });
    queue.confirmed(contexts[1]!, 3);
    queue.release(3);
    expect(outcomes.readable).toEqual(['a', 'b']);
    // A repeated response, for which no read waits.
    queue.confirmed(contexts[1]!, 3);
    queue.release(3);
    expect(outcomes.readable).toEqual(['a', 'b']);
  });

  it('are sent again when there is no response for a while', () => {
    const queue = newQueue();
    const outcomes = new Outcomes();
    queue.add(outcomes.waiter('a'), 1000);
    queue.ask(0);
    queue.add(outcomes.waiter('b'), 1000);
    const newest = queue.ask(10);
    expect(queue.askAgain(400, -100)).toBeUndefined();
    expect(queue.askAgain(600, 100)).toEqual(newest);
    expect(queue.askAgain(700, 200)).toBeUndefined();
    queue.confirmed(newest, 1);
    expect(queue.askAgain(2000, 1500)).toBeUndefined();
  });
});

describe('reads', () => {
  it('time out, before and after ReadIndex was sent', () => {
    const queue = newQueue();
    const outcomes = new Outcomes();
    queue.add(outcomes.waiter('asked early'), 100);
    queue.add(outcomes.waiter('asked late'), 150);
    queue.ask(0);
    queue.add(outcomes.waiter('not asked'), 200);
    expect(queue.expire(99, timeout)).toBe(0);
    expect(queue.expire(100, timeout)).toBe(1);
    expect(outcomes.failed).toEqual(['asked early']);
    expect(queue.expire(200, timeout)).toBe(2);
    expect(outcomes.failed).toEqual(['asked early', 'asked late', 'not asked']);
    expect(queue.size).toBe(0);
    // As in etcd, all reads that time out together count as one.
    expect(queue.slow).toBe(2);
  });

  it('count a response as slow when no read waits for it any more', () => {
    const queue = newQueue();
    const outcomes = new Outcomes();
    queue.add(outcomes.waiter('a'), 100);
    const context = queue.ask(0);
    queue.confirmed(context, 1);
    queue.release(1);
    expect(queue.slow).toBe(0);
    queue.confirmed(context, 1);
    expect(queue.slow).toBe(1);
  });

  it('leave the queue when they are cancelled', () => {
    const queue = newQueue();
    const outcomes = new Outcomes();
    const cancelAsked = queue.add(outcomes.waiter('a'), 100);
    const context = queue.ask(0);
    const cancelArriving = queue.add(outcomes.waiter('b'), 100);
    queue.add(outcomes.waiter('c'), 100);
    cancelAsked();
    cancelArriving();
    expect(queue.size).toBe(1);
    // No read waits for it, so ReadIndex is not sent again.
    expect(queue.askAgain(1000, 500)).toBeUndefined();
    queue.confirmed(context, 1);
    queue.confirmed(queue.ask(1000), 1);
    queue.release(1);
    expect(outcomes).toEqual({ readable: ['c'], failed: [] });
  });

  it('all fail when the member stops', () => {
    const queue = newQueue();
    const outcomes = new Outcomes();
    queue.add(outcomes.waiter('a'), 100);
    queue.ask(0);
    queue.add(outcomes.waiter('b'), 100);
    queue.failAll(timeout());
    expect(outcomes.failed).toEqual(['a', 'b']);
  });
});
