import { describe, expect, it } from 'vitest';
import { crc32c } from './crc32c.ts';

/** Bit by bit, as in the definition. */
function reference(crc: number, bytes: Uint8Array): number {
  let state = ~crc >>> 0;
  for (const byte of bytes) {
    state ^= byte;
    for (let bit = 0; bit < 8; bit++) state = (state & 1) === 0 ? state >>> 1 : (state >>> 1) ^ 0x82f63b78;
  }
  return ~state >>> 0;
}

describe('crc32c', () => {
  it('returns the check values of RFC 3720, B.4', () => {
    expect(crc32c(0, Buffer.alloc(32))).toBe(0x8a9136aa);
    expect(crc32c(0, Buffer.alloc(32, 0xff))).toBe(0x62a8ab43);
    expect(crc32c(0, Buffer.from('123456789'))).toBe(0xe3069283);
    expect(crc32c(0, Buffer.alloc(0))).toBe(0);
  });

  it('equals the definition at every length and continues from a previous checksum', () => {
    const bytes = Buffer.from(Array.from({ length: 200 }, (_, n) => (n * 151 + 7) & 0xff));
    for (let length = 0; length <= bytes.length; length++) {
      const whole = reference(0, bytes.subarray(0, length));
      expect(crc32c(0, bytes, 0, length)).toBe(whole);
      const split = length >>> 1;
      expect(crc32c(crc32c(0, bytes, 0, split), bytes, split, length)).toBe(whole);
    }
  });

  it('agrees with the definition on long inputs, wherever they lie in memory', () => {
    const bytes = Buffer.from(Array.from({ length: 2100 }, (_, n) => (n * 151 + (n >>> 8)) & 0xff));
    for (let start = 0; start < 9; start++) {
      for (let end = 2040; end < 2060; end++)
        expect(crc32c(7, bytes, start, end)).toBe(reference(7, bytes.subarray(start, end)));
    }
  });
});
