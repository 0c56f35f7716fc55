import { expect, it } from 'vitest';
import { SeededRandom } from '../lib/seeded-random.ts';
import { EventBatch } from '../mvcc/watch-event.ts';
import { fragments } from './watch-responses.ts';

const FRAGMENT = [0x38, 1];

/** What etcd does: looks at each event on its own. */
function expectedOf(head: Buffer, fields: readonly Buffer[], limit: number): Buffer[] {
  const whole = Buffer.concat([head, ...fields]);
  if (whole.length < limit || fields.length < 2) return [whole];
  const start = Buffer.concat([head, Buffer.from(FRAGMENT)]);
  const responses: Buffer[] = [];
  let current: Buffer[] = [start];
  let bytes = start.length;
  for (const field of fields) {
    if (current.length > 1 && bytes + field.length >= limit) {
      responses.push(Buffer.concat(current));
      current = [start];
      bytes = start.length;
    }
    current.push(field);
    bytes += field.length;
  }
  return [...responses, Buffer.concat([head, ...current.slice(1)])];
}

// The fragments of 100,000 events had a buffer for each event and took 42 ms in one turn.
it('events are split where etcd splits them, and a fragment has few parts', () => {
  const random = new SeededRandom(3);
  for (let round = 0; round < 100; round += 1) {
    const largest = random.pick([20, 2_000, 20_000]);
    const fields = Array.from({ length: random.between(1, round < 5 ? 3_000 : 60) }, () =>
      random.bytes(random.between(1, largest)),
    );
    const bytes = fields.reduce((sum, { length }) => sum + length, 0);
    const head = [random.bytes(9), random.bytes(random.int(3))];
    const limit = random.between(10, bytes + 20);
    const batch = new EventBatch(1, 1, fields, bytes);
    const got = fragments(head, batch, limit);
    const expected = expectedOf(Buffer.concat(head), fields, limit);
    expect(got).toHaveLength(expected.length);
    expect(got.every(({ parts }, at) => Buffer.concat(parts).equals(expected[at]!))).toBe(true);
    for (const response of got)
      expect(response.bytes).toBe(response.parts.reduce((sum, { length }) => sum + length, 0));
    const parts = got.reduce((sum, response) => sum + response.parts.length, 0);
    expect(parts).toBeLessThanOrEqual(batch.parts.length + 5 * got.length);
  }
});
