import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { openForTest as open } from './testing/open-for-test.ts';
import { appliedIndex, contiguousRows, lastNoted } from './testing/crash-writer.ts';

const root = mkdtempSync(join(tmpdir(), 'keystead-storage-'));
let opened = 0;
const freshDirectory = (): string => join(root, String(opened++));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const writerPath = fileURLToPath(new URL('testing/crash-writer.ts', import.meta.url));

/** Runs the writer for about `ms` after its first acknowledgement, kills it, and gives the last one. */
async function writeAndKill(dataDirectory: string, ms: number): Promise<number> {
  const notes = `${dataDirectory}.notes`;
  writeFileSync(notes, '');
  const child = spawn(process.execPath, ['--import', 'tsx', writerPath, dataDirectory, notes], {
    env: { ...process.env, KEYSTEAD_CRASH_WRITER: '1' },
    stdio: 'inherit',
  });
  const closed = once(child, 'close');
  while (lastNoted(notes, 'A') === 0) await sleep(5);
  await sleep(ms);
  child.kill('SIGKILL');
  await closed;
  return lastNoted(notes, 'A');
}

it('storage loses nothing acknowledged after kill -9, and applies each entry once', async () => {
  const directory = freshDirectory();
  for (let round = 0; round < 8; round++) {
    const acknowledged = await writeAndKill(directory, (round * 67) % 300);
    const storage = await open(directory);
    const { engine, log, contents } = storage;
    expect(log.lastIndex).toBeGreaterThanOrEqual(acknowledged);
    const applied = appliedIndex(engine);
    expect(applied).toBeLessThanOrEqual(log.lastIndex);
    expect(applied).toBeGreaterThanOrEqual(contents.snapshot.index);
    expect(contiguousRows(engine, 'event')).toBe(applied);
    expect(contiguousRows(engine, 'latest')).toBe(applied);
    const { snapshot, entries } = contents;
    expect(entries.length).toBe(log.lastIndex - snapshot.index);
    entries.forEach(({ index, data }, n) => {
      expect(index).toBe(snapshot.index + 1 + n);
      expect(data?.length ?? 0).toBe(Math.max(`${index} `.length, (index * 31) % 700));
    });
    await storage.close();
  }
}, 60_000);
