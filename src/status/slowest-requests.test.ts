import { expect, it } from 'vitest';
import type { SlowCall } from '../grpc/slow-calls.ts';
import { PutRequest } from '../wire/gen/etcdserverpb.ts';
import { SlowestRequests } from './slowest-requests.ts';

const WALL_MS = 1_000_000;

function opened(thresholdMs = 300) {
  const logged: number[] = [];
  const slowest = new SlowestRequests(
    { thresholdMs, report: ({ tookMs }) => logged.push(tookMs) },
    () => WALL_MS,
  );
  /** As the server does: only calls above the threshold are reported. */
  const ended = (tookMs: number, key = '/a', value = 'secret'): void => {
    if (tookMs > slowest.thresholdMs) slowest.report(callOf(tookMs, key, value));
  };
  return { slowest, logged, ended };
}

function callOf(tookMs: number, key: string, value: string): SlowCall {
  const request = PutRequest.encode(PutRequest.create({ key: Buffer.from(key), value: Buffer.from(value) }));
  const path = '/etcdserverpb.KV/Put';
  return { path, peer: '10.0.0.1:4', request, response: undefined, responseBytes: 0, tookMs };
}

it('keeps the ten slowest, the slowest first, and passes on those to be logged', () => {
  const { slowest, logged, ended } = opened();
  for (let at = 1; at <= 500; at += 1) ended((at * 37) % 501);
  expect(slowest.list().map(({ tookMs }) => tookMs)).toEqual([
    500, 499, 498, 497, 496, 495, 494, 493, 492, 491,
  ]);
  expect(logged.length).toBe(200);
  expect(slowest.thresholdMs).toBe(300);
});

it('looks only at calls that can enter a full list', () => {
  const { slowest, ended } = opened();
  for (let at = 0; at < 10; at += 1) ended(50 + at);
  expect(slowest.thresholdMs).toBe(50);
  ended(20);
  ended(70);
  expect(slowest.thresholdMs).toBe(51);
  expect(slowest.list()[0]).toEqual({
    method: 'KV/Put',
    key: '/a',
    isRange: false,
    tookMs: 70,
    atMs: WALL_MS - 70,
  });
});

it('is exact when slices of the hour end', () => {
  const { slowest, ended } = opened();
  for (let at = 0; at < 20; at += 1) ended(100 + at);
  slowest.nextSlice();
  for (let at = 0; at < 20; at += 1) ended(10 + at);
  expect(slowest.list()[0]?.tookMs).toBe(119);
  for (let slice = 1; slice < 12; slice += 1) slowest.nextSlice();
  expect(slowest.list().map(({ tookMs }) => tookMs)).toEqual([29, 28, 27, 26, 25, 24, 23, 22, 21, 20]);
  slowest.nextSlice();
  expect(slowest.list()).toEqual([]);
});

it('keeps no values, and of keys only the beginning in printable characters', () => {
  const { slowest, ended } = opened();
  ended(60, '<img src=x>\u202e\x00');
  ended(50, `/registry/secrets/${'n'.repeat(200)}`);
  const [first, second] = slowest.list();
  expect(first?.key).toBe('<img src=x>\\xe2\\x80\\xae\\x00');
  expect(second?.key).toBe(`/registry/secrets/${'n'.repeat(62)}…`);
  expect(JSON.stringify(slowest.list())).not.toContain('secret"');
});

it('at log level debug all calls are passed on', () => {
  const { slowest, logged, ended } = opened(-1);
  ended(0.1);
  expect(logged).toEqual([0.1]);
  expect(slowest.list()).toEqual([]);
});
