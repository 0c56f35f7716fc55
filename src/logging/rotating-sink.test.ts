import { closeSync, fstatSync, mkdtempSync, openSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { RotatingSink } from './rotating-sink.ts';

const root = mkdtempSync(join(tmpdir(), 'keystead-rotating-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const OPTIONS = { maxSizeMegabytes: 1, maxAgeDays: 0, maxBackups: 0, localTime: false, compress: false };

it('a full file that was renamed by another process is replaced, and only its own descriptor is closed', () => {
  const path = join(root, 'moved.log');
  const sink = new RotatingSink(path, OPTIONS);
  const line = `${'x'.repeat(1024 * 1024 - 10)}\n`;
  sink.write(line);
  renameSync(path, join(root, 'elsewhere.log'));
  sink.write(line);
  // This takes the lowest free number.
  const other = openSync(join(root, 'other'), 'w');
  sink.write(line);
  sink.write('last\n');
  expect(() => fstatSync(other)).not.toThrow();
  expect(readFileSync(join(root, 'other'), 'utf8')).toBe('');
  expect(readFileSync(path, 'utf8').endsWith('last\n')).toBe(true);
  closeSync(other);
  sink.close();
});
