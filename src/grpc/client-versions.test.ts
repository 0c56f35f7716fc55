import { expect, it } from 'vitest';
import { ClientVersions } from './client-versions.ts';

it('calls are counted by version and kind', () => {
  const versions = new ClientVersions();
  for (const [isUnary, version] of [
    [true, '3.7'],
    [true, '3.7'],
    [false, '3.7'],
    [true, ''],
    [true, Buffer.from('3.7é').toString('latin1')],
  ] as const)
    expect(versions.count(isUnary, version)).toBe(true);
  expect([...versions.entries()]).toEqual([
    { type: 'unary', version: '3.7', count: 2 },
    { type: 'unary', version: 'unknown', count: 1 },
    { type: 'unary', version: '3.7é', count: 1 },
    { type: 'stream', version: '3.7', count: 1 },
  ]);
});

it('a version that is not ASCII text is refused and not counted', () => {
  const versions = new ClientVersions();
  expect(versions.count(true, '3.\xff')).toBe(false);
  expect([...versions.entries()]).toEqual([]);
});

it('any number of versions uses bounded memory', () => {
  const versions = new ClientVersions();
  for (let at = 0; at < 10_000; at += 1) versions.count(true, `version ${at}`);
  const entries = [...versions.entries()];
  expect(entries.length).toBe(65);
  expect(entries.find(({ version }) => version === 'unknown')?.count).toBe(10_000 - 64);
});
