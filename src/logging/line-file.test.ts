import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { LineFile, type LineFileOptions } from './line-file.ts';

const root = mkdtempSync(join(tmpdir(), 'keystead-lines-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const reports: [number, string][] = [];
const open = (path: string, options: Partial<LineFileOptions> = {}): Promise<LineFile> =>
  LineFile.open({
    path,
    maxSizeMegabytes: 1,
    maxBackups: 2,
    onDropped: (lines, reason) => reports.push([lines, reason]),
    droppedLine: (lines) => `dropped ${lines}\n`,
    ...options,
  });

it('lines are appended in order, and only the owner can read the file', async () => {
  const path = join(root, 'folder/lines.log');
  for (const run of [0, 1]) {
    const file = await open(path);
    for (let line = 0; line < 5_000; line++) file.write(`${run} ${line}\n`);
    await file.close();
    expect(file.written).toBe(5_000);
  }
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  expect(lines).toHaveLength(10_000);
  expect(lines[9_999]).toBe('1 4999');
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

it('lines wait up to a limit; more lines are dropped and counted, and a line reports them', async () => {
  const path = join(root, 'bound.log');
  reports.length = 0;
  const file = await open(path, { maxWaitingBytes: 100 });
  for (let line = 0; line < 10; line++) file.write(`${String(line).repeat(39)}\n`);
  expect(file.dropped).toBe(8);
  await file.close();
  expect(readFileSync(path, 'utf8')).toBe(`${'0'.repeat(39)}\n${'1'.repeat(39)}\ndropped 8\n`);
  expect(reports).toEqual([[1, 'the disk is too slow']]);
});

it('on a blocked disk lines are dropped and no caller waits', async () => {
  reports.length = 0;
  const file = await open('/dev/full', { maxSizeMegabytes: 0 });
  file.write('lost\n');
  file.write('lost\n');
  await file.close();
  expect(file.dropped).toBe(2);
  expect(file.written).toBe(0);
  expect(reports[0]?.[1]).toContain('ENOSPC');
});

it('a full file is rotated, and old files are removed', async () => {
  const path = join(root, 'rotated', 'audit.log');
  const line = `${'x'.repeat(1023)}\n`;
  for (let round = 0; round < 5; round++) {
    const file = await open(path);
    for (let count = 0; count < 1_100; count++) file.write(line);
    await file.close();
  }
  const names = readdirSync(join(root, 'rotated'));
  expect(names.filter((name) => /^audit-\d{4}-.*\.log$/.test(name))).toHaveLength(2);
  expect(names).toContain('audit.log');
});

it('a file that cannot be opened is an error', async () => {
  await expect(open(join(root, 'bound.log', 'below'))).rejects.toThrow();
});

it('a full file that was renamed by another process is replaced', async () => {
  const path = join(root, 'moved.log');
  const file = await open(path);
  file.write(`${'x'.repeat(1024 * 1024)}\n`);
  await expect.poll(() => file.written).toBe(1);
  rmSync(path);
  file.write('next\n');
  await expect.poll(() => file.written + file.dropped).toBe(2);
  file.write('last\n');
  await file.close();
  expect(file.dropped).toBe(0);
  expect(readFileSync(path, 'utf8')).toBe('next\nlast\n');
});
