import { expect, it } from 'vitest';
import { RangeResponse } from '../../wire/gen/etcdserverpb.ts';
import { MessageTexts } from './message-texts.ts';
import type { ResponseWriter } from './response-writer.ts';

const TYPE = 'etcdserverpb.RangeResponse';
const PLAIN = { before: '', after: '' };

class RecordingWriter implements ResponseWriter {
  queuedBytes = 0;
  text = '';
  ended = 0;
  isDestroyed = false;

  write(text: string, isLast: boolean): void {
    this.text += text;
    if (isLast) this.ended++;
  }
  end(): void {
    // Not used here.
  }
  fail(): void {
    // Not used here.
  }
  refuse(): void {
    // Not used here.
  }
  destroy(): void {
    this.isDestroyed = true;
  }
}

function response(values: number, bytes: number): Buffer {
  const value = Buffer.alloc(bytes, 'v');
  const kv = { key: Buffer.from('k'), createRevision: 2, modRevision: 2, version: 1, value, lease: 0n };
  return RangeResponse.encode(
    RangeResponse.create({ kvs: Array<typeof kv>(values).fill(kv), count: values }),
  );
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it.each([
  ['in one part', 30_000, (message: Buffer): Buffer[] => [message]],
  ['in parts of one byte', 3_000, (message: Buffer): Buffer[] => [...message].map((byte) => Buffer.of(byte))],
])('a message of many small fields %s is converted in many turns', async (_name, values, split) => {
  const writer = new RecordingWriter();
  const texts = new MessageTexts(TYPE, writer, PLAIN, () => undefined);
  const message = response(values, 1);
  texts.add(split(message), message.length);
  let turns = 0;
  for (; writer.ended === 0; turns++) await turn();
  // Each KeyValue has six fields. A turn converts at most 8192, and the rest of its last 8 KB.
  const pieces = split(message).length > 1 ? message.length : 6 * values;
  expect(turns).toBeGreaterThan(pieces / (8192 + 4096) - 1);
  expect((JSON.parse(writer.text) as { kvs: unknown[] }).kvs).toHaveLength(values);
});

it('a long message is converted in many turns of the event loop', async () => {
  const writer = new RecordingWriter();
  const texts = new MessageTexts(TYPE, writer, PLAIN, () => undefined);
  const message = response(200, 50_000);
  texts.add([message], message.length);
  let most = 0;
  let turns = 0;
  for (let before = 0; writer.ended === 0; turns++) {
    most = Math.max(most, writer.text.length - before);
    before = writer.text.length;
    await turn();
  }
  expect(turns).toBeGreaterThan(30);
  expect(most).toBeLessThan(400_000);
  const { kvs } = JSON.parse(writer.text) as { kvs: unknown[] };
  expect(kvs).toHaveLength(200);
  expect(texts.queuedBytes).toBe(0);
});

it('no text is made while the client does not read', async () => {
  const writer = new RecordingWriter();
  const texts = new MessageTexts(TYPE, writer, { before: '<', after: '>' }, () => undefined);
  const message = response(3, 100_000);
  writer.queuedBytes = 1_000_000;
  texts.add([message], message.length);
  texts.add([], 0);
  await turn();
  expect(writer.text).toBe('');
  let isEmpty = false;
  texts.whenEmpty(() => {
    isEmpty = true;
  });
  writer.queuedBytes = 0;
  texts.goOn();
  await expect.poll(() => isEmpty).toBe(true);
  expect(writer.ended).toBe(2);
  expect(writer.text.endsWith('><{}>')).toBe(true);
});

it('a source is read as fast as the client reads, and again when it has more', async () => {
  const writer = new RecordingWriter();
  const texts = new MessageTexts(TYPE, writer, PLAIN, () => undefined);
  const message = response(10, 30_000);
  let at = 0;
  let isDry = true;
  const read = (maxBytes: number): Buffer[] | undefined => {
    isDry = !isDry;
    if (isDry) return undefined;
    const from = at;
    at = Math.min(message.length, at + Math.min(maxBytes, 10_000));
    return [message.subarray(from, at)];
  };
  texts.addSource({ read }, message.length);
  while (writer.ended === 0) {
    texts.goOn();
    await turn();
  }
  expect((JSON.parse(writer.text) as { kvs: unknown[] }).kvs).toHaveLength(10);
});

it('a source that fails aborts the response', () => {
  const writer = new RecordingWriter();
  const texts = new MessageTexts(TYPE, writer, PLAIN, () => undefined);
  const read = (): Buffer[] => {
    throw new Error('gone');
  };
  texts.addSource({ read }, 10);
  expect(writer.isDestroyed).toBe(true);
});

it('a source is closed when the client does not want the rest', () => {
  const writer = new RecordingWriter();
  const texts = new MessageTexts(TYPE, writer, PLAIN, () => undefined);
  let dropped = 0;
  texts.addSource({ read: () => undefined, dropped: () => dropped++ }, 10);
  texts.drop();
  texts.drop();
  expect(dropped).toBe(1);
});
