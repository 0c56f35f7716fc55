import { expect, test } from 'vitest';
import { RangeResponse } from '../../wire/gen/etcdserverpb.ts';
import { MessageTexts } from './message-texts.ts';
import type { Outlet } from './outlet.ts';

const TYPE = 'etcdserverpb.RangeResponse';
const PLAIN = { before: '', after: '' };

class RecordingOutlet implements Outlet {
  queuedBytes = 0;
  text = '';
  ended = 0;
  isDestroyed = false;

  write(text: string, isLast: boolean): void {
    this.text += text;
    if (isLast) this.ended++;
  }
  end(): void {
    // Not of interest here.
  }
  fail(): void {
    // Not of interest here.
  }
  refuse(): void {
    // Not of interest here.
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

test('a long message becomes text in many turns of the event loop', async () => {
  const outlet = new RecordingOutlet();
  const texts = new MessageTexts(TYPE, outlet, PLAIN, () => undefined);
  const message = response(200, 50_000);
  texts.add([message], message.length);
  let most = 0;
  let turns = 0;
  for (let before = 0; outlet.ended === 0; turns++) {
    most = Math.max(most, outlet.text.length - before);
    before = outlet.text.length;
    await turn();
  }
  expect(turns).toBeGreaterThan(30);
  expect(most).toBeLessThan(400_000);
  const { kvs } = JSON.parse(outlet.text) as { kvs: unknown[] };
  expect(kvs).toHaveLength(200);
  expect(texts.queuedBytes).toBe(0);
});

test('none is made while the client does not take it', async () => {
  const outlet = new RecordingOutlet();
  const texts = new MessageTexts(TYPE, outlet, { before: '<', after: '>' }, () => undefined);
  const message = response(3, 100_000);
  outlet.queuedBytes = 1_000_000;
  texts.add([message], message.length);
  texts.add([], 0);
  await turn();
  expect(outlet.text).toBe('');
  let isEmpty = false;
  texts.whenEmpty(() => {
    isEmpty = true;
  });
  outlet.queuedBytes = 0;
  texts.goOn();
  await expect.poll(() => isEmpty).toBe(true);
  expect(outlet.ended).toBe(2);
  expect(outlet.text.endsWith('><{}>')).toBe(true);
});

test('a source is read as its text is taken, and asked again when it has more', async () => {
  const outlet = new RecordingOutlet();
  const texts = new MessageTexts(TYPE, outlet, PLAIN, () => undefined);
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
  while (outlet.ended === 0) {
    texts.goOn();
    await turn();
  }
  expect((JSON.parse(outlet.text) as { kvs: unknown[] }).kvs).toHaveLength(10);
});

test('a source that fails cuts the response off', () => {
  const outlet = new RecordingOutlet();
  const texts = new MessageTexts(TYPE, outlet, PLAIN, () => undefined);
  const read = (): Buffer[] => {
    throw new Error('gone');
  };
  texts.addSource({ read }, 10);
  expect(outlet.isDestroyed).toBe(true);
});

test('a source is told when nobody wants the rest of it', () => {
  const outlet = new RecordingOutlet();
  const texts = new MessageTexts(TYPE, outlet, PLAIN, () => undefined);
  let dropped = 0;
  texts.addSource({ read: () => undefined, dropped: () => dropped++ }, 10);
  texts.drop();
  texts.drop();
  expect(dropped).toBe(1);
});
