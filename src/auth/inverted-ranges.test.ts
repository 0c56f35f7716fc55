import { describe, expect, it } from 'vitest';
import { InvertedRanges } from './inverted-ranges.ts';

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

function ranges(...pairs: [string, string | undefined][]): InvertedRanges {
  return new InvertedRanges(
    pairs.map(([begin, end]) => ({ begin: bytes(begin), end: end === undefined ? undefined : bytes(end) })),
  );
}

describe('a range that ends before it begins', () => {
  it('is permitted by an interval that contains its begin', () => {
    expect(ranges(['b', 'd']).isPermitted(bytes('c'), bytes('a'))).toBe(true);
    expect(ranges(['b', undefined]).isPermitted(bytes('z'), bytes('a'))).toBe(true);
    expect(ranges(['b', 'd']).isPermitted(bytes('d'), bytes('a'))).toBe(false);
    expect(ranges().isPermitted(bytes('d'), bytes('a'))).toBe(false);
  });

  it('is refused when the interval is in a subtree that etcd’s search skips', () => {
    // "b" becomes the root. It is before the begin of the range but not before its end, so the search ends there.
    const tree = ranges(['a', 'a\0'], ['b', 'b\0'], ['c', 'e']);
    expect(tree.isPermitted(bytes('d'), bytes('aa'))).toBe(false);
    expect(tree.isPermitted(bytes('d'), bytes('bb'))).toBe(true);
  });

  it('finds every interval of a large tree when its end is just before its begin', () => {
    const names = Array.from({ length: 500 }, (_, i) => `key${String((i * 271) % 500).padStart(3, '0')}`);
    const tree = ranges(...names.map((name): [string, string] => [`${name}b`, `${name}d`]));
    for (const name of names) {
      expect(tree.isPermitted(bytes(`${name}c`), bytes(`${name}ba`))).toBe(true);
      expect(tree.isPermitted(bytes(`${name}e`), bytes(`${name}da`))).toBe(false);
    }
  });
});
