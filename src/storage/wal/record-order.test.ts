import { describe, expect, it } from 'vitest';
import { entry, state } from '../log-store.cases.ts';
import { RecordOrder } from './record-order.ts';

function orderOf(...terms: number[]): RecordOrder {
  const order = new RecordOrder();
  terms.forEach((term, at) => order.entry(entry(at + 1, '', term)));
  return order;
}

describe('the order of a log’s records', () => {
  it('lets terms decrease only where an entry replaces another one', () => {
    const order = orderOf(1, 3, 3);
    expect(order.entry(entry(4, '', 2))).toMatch(/term 2 after term 3/);
    expect(order.entry(entry(2, '', 2))).toBeUndefined();
    expect(order.entry(entry(3, '', 1))).toMatch(/term 1 after term 2/);
    expect(order.entry(entry(3, '', 4))).toBeUndefined();
    expect([order.lastIndex, order.terms.of(2), order.terms.of(3)]).toEqual([3, 2, 4]);
  });

  it('has no gaps, and replaces nothing committed', () => {
    const order = orderOf(1, 1, 1);
    expect(order.entry(entry(5))).toMatch(/entry 5 follows entry 3/);
    expect(order.state(state(1, 4))).toMatch(/beyond the last entry/);
    expect(order.state(state(1, 2))).toBeUndefined();
    expect(order.entry(entry(2))).toMatch(/replaces a committed one/);
  });

  it('starts again after a snapshot record that does not match its entries', () => {
    const order = orderOf(1, 3, 3);
    expect(order.snapshot(2, 3)).toBe(false);
    expect(order.snapshot(3, 2)).toBe(true);
    expect(order.entry(entry(5, '', 4))).toMatch(/entry 5 follows entry 3/);
    expect(order.entry(entry(4, '', 1))).toMatch(/term 1 after term 2/);
    expect(order.entry(entry(4, '', 4))).toBeUndefined();
    expect(order.snapshot(1, 9)).toBe(false);
  });

  it('may start after a snapshot record if the segments before were released', () => {
    const order = new RecordOrder();
    expect(order.snapshot(3, 2)).toBe(false);
    expect(order.entry(entry(8, '', 2))).toBeUndefined();
    expect(order.snapshot(5, 2)).toBe(false);
    expect([order.terms.firstIndex, order.lastIndex]).toEqual([8, 8]);
  });
});
