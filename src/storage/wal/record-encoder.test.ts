import { describe, expect, it } from 'vitest';
import { RecordEncoder } from './record-encoder.ts';

/** What the log writes at once. */
const WRITE_BYTES = 4 << 20;

function encode(encoder: RecordEncoder, entries: number, dataBytes: number): void {
  const data = Buffer.alloc(dataBytes, 7);
  for (let index = 1; index <= entries; index++) encoder.entry({ type: 0, term: 1, index, data });
  encoder.state({ term: 1, vote: 1n, commit: entries });
}

describe('the buffer of the log', () => {
  it('is kept between the largest usual writes', () => {
    const encoder = new RecordEncoder(0);
    encode(encoder, 63, 65_536);
    expect(encoder.length).toBeGreaterThan(WRITE_BYTES - 70_000);
    encoder.clear();
    const { buffer } = encoder;
    encode(encoder, 63, 65_536);
    expect(encoder.buffer).toBe(buffer);
    expect(buffer.length).toBeLessThan(1.1 * WRITE_BYTES);
  });

  it('is freed after a larger write', () => {
    const encoder = new RecordEncoder(0);
    encode(encoder, 1, 2 * WRITE_BYTES);
    encoder.clear();
    expect(encoder.buffer.length).toBeLessThan(WRITE_BYTES);
  });

  it('grows to the reserved size at once, and holds the same records as one that grows with them', () => {
    const reserved = new RecordEncoder(0);
    reserved.reserve(3 << 20);
    const { buffer } = reserved;
    const grown = new RecordEncoder(0);
    for (const each of [reserved, grown]) encode(each, 30, 65_536);
    expect(reserved.buffer).toBe(buffer);
    expect(reserved.crc).toBe(grown.crc);
    expect(reserved.buffer.subarray(0, reserved.length).equals(grown.buffer.subarray(0, grown.length))).toBe(
      true,
    );
  });
});
