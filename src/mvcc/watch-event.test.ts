import { expect, it } from 'vitest';
import { SeededRandom } from '../lib/seeded-random.ts';
import { runSteps } from '../lib/steps.ts';
import { WatchResponse } from '../wire/gen/etcdserverpb.ts';
import { Event, KeyValue } from '../wire/gen/mvccpb.ts';
import { makeBatches, WatchEvent } from './watch-event.ts';

const random = new SeededRandom(5);

function keyValue(main: number, valueBytes: number): KeyValue {
  return KeyValue.create({
    key: random.bytes(random.between(1, 300)),
    createRevision: random.between(1, main),
    modRevision: main,
    version: random.between(1, 1000),
    value: random.bytes(valueBytes),
    lease: random.chance(0.3) ? random.uint64() >> 1n : 0n,
  });
}

/** A change and its Event message. */
function change(main: number, valueBytes: number): { event: WatchEvent; message: Event } {
  const prevKv = random.chance(0.5) ? keyValue(main - 1, valueBytes) : undefined;
  const isDelete = random.chance(0.3);
  const kv = isDelete ? KeyValue.create({ key: random.bytes(9) }) : keyValue(main, valueBytes);
  const event = new WatchEvent(main, isDelete, KeyValue.encode(kv), undefined);
  event.previousKv = prevKv === undefined ? undefined : KeyValue.encode(prevKv);
  const shown = isDelete ? { ...kv, modRevision: main } : kv;
  return { event, message: { type: isDelete ? 1 : 0, kv: shown, prevKv } };
}

it('an event has the bytes of the generated codec, with and without the previous value', () => {
  for (let round = 0; round < 200; round += 1) {
    const { event, message } = change(2 + random.int(2 ** random.between(1, 40)), random.int(20_000));
    for (const withPrevious of [true, false]) {
      const expected = { ...message, prevKv: withPrevious ? message.prevKv : undefined };
      const response = WatchResponse.encode(WatchResponse.create({ events: [expected] }));
      expect(event.field(withPrevious).equals(response)).toBe(true);
      expect(event.field(withPrevious)).toBe(event.field(withPrevious));
    }
  }
});

it('a batch holds whole revisions, stays near the size limit and has few pieces', () => {
  for (let round = 0; round < 20; round += 1) {
    const changes = Array.from({ length: 60 }, (_, n) =>
      change(2 + Math.floor(n / 3), random.pick([10, 2_000, 50_000])),
    );
    const events = changes.map(({ event }) => event);
    const form = { prevKv: true, noPut: false, noDelete: false };
    const batches = runSteps(makeBatches(events, form, 99, random.between(1, 100)));
    const bytes = Buffer.concat(batches.flatMap(({ parts }) => parts));
    const messages = changes.map(({ message }) => message);
    const expected = WatchResponse.encode(WatchResponse.create({ events: messages }));
    expect(bytes.equals(expected)).toBe(true);
    expect(batches.at(-1)!.revision).toBe(99);
    for (const [at, batch] of batches.entries()) {
      const next = batches[at + 1];
      expect(next === undefined || next.firstRevision === batch.revision + 1).toBe(true);
      expect(batch.bytes).toBe(batch.parts.reduce((sum, { length }) => sum + length, 0));
      expect(batch.parts.length).toBeLessThanOrEqual(
        2 * batch.fields.filter(({ length }) => length > 4096).length + 1,
      );
      const withoutLast = batch.fields.slice(0, -6).reduce((sum, { length }) => sum + length, 0);
      expect(withoutLast).toBeLessThan(256 * 1024);
    }
  }
});
