import { describe, expect, it } from 'vitest';
import { KeyIntervals } from './key-intervals.ts';

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

function intervals(...pairs: [string, string | undefined][]): KeyIntervals {
  const set = new KeyIntervals();
  for (const [begin, end] of pairs) set.add(bytes(begin), end === undefined ? undefined : bytes(end));
  return set;
}

describe('KeyIntervals', () => {
  it('covers a range that touching intervals cover together', () => {
    const set = intervals(['c', 'e'], ['a', 'c'], ['x', undefined]);
    expect(set.covers(bytes('a'), bytes('e'))).toBe(true);
    expect(set.covers(bytes('a'), bytes('e\0'))).toBe(false);
    expect(set.covers(bytes('z'), undefined)).toBe(true);
    expect(set.covers(bytes('a'), undefined)).toBe(false);
    expect(set.covers(bytes('d'), bytes('y'))).toBe(false);
  });

  it('contains a single key and not its successor', () => {
    const set = new KeyIntervals();
    set.addKey(bytes('a'));
    expect(set.has(bytes('a'))).toBe(true);
    expect(set.has(bytes('a\0'))).toBe(false);
    expect(set.has(bytes('A'))).toBe(false);
  });

  it('contains nothing of an interval that ends before it begins', () => {
    const set = intervals(['b', 'a'], ['b', '\0']);
    expect(set.has(bytes('b'))).toBe(false);
    expect(set.size).toBe(0);
  });

  it('equals a linear search for all short ranges', () => {
    const set = intervals(['b', 'd'], ['c', 'f'], ['h', 'i'], ['i', 'j']);
    const held = new Set('bcdehi');
    const letters = Array.from('abcdefghijk');
    for (const begin of letters) {
      expect(set.has(bytes(begin))).toBe(held.has(begin));
      for (const end of letters) {
        if (end <= begin) continue;
        const inside = letters.filter((letter) => letter >= begin && letter < end);
        expect(set.covers(bytes(begin), bytes(end)), `${begin}-${end}`).toBe(
          inside.every((letter) => held.has(letter)),
        );
      }
    }
  });
});
