import { existsSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { canGrow } from './space-probe.ts';

const directory = mkdtempSync(join(tmpdir(), 'keystead-probe-'));
afterAll(() => rmSync(directory, { recursive: true }));

it('leaves no file behind', async () => {
  expect(await canGrow(directory)).toBe(true);
  expect(readdirSync(directory)).toEqual([]);
});

it('leaves errors that are not of space to the next write', async () => {
  expect(await canGrow(join(directory, 'missing'))).toBe(true);
});

it.skipIf(!existsSync('/dev/full'))('says so if the disk takes nothing', async () => {
  symlinkSync('/dev/full', join(directory, 'space-probe'));
  expect(await canGrow(directory)).toBe(false);
  expect(readdirSync(directory)).toEqual([]);
});
