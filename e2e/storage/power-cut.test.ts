import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openStorage } from '../../src/storage/open-storage.ts';
import { appliedIndex, contiguousRows, lastNoted } from '../../src/storage/testing/crash-writer.ts';
import { mount, type Mount } from './mounts.ts';

const scratch = mkdtempSync(join(tmpdir(), 'keystead-power-'));
const image = join(scratch, 'disk.img');
const notes = join(scratch, 'notes');
const writerPath = fileURLToPath(new URL('../../src/storage/testing/crash-writer.ts', import.meta.url));

function makeImage(): boolean {
  try {
    execFileSync('truncate', ['-s', '1G', image]);
    execFileSync('mkfs.ext4', ['-q', '-F', image]);
    mount('-o', 'loop', image).unmount();
    return true;
  } catch {
    return false;
  }
}

/**
 * The log and the engine are on a separate disk, whose content is copied at random moments while they write. Data that
 * was not synced is only in the page cache and not in the copy, as after a power cut.
 */
describe.skipIf(!makeImage())('power cut (needs root and loop devices)', () => {
  let disk: Mount;
  let writer: ChildProcess;
  beforeAll(async () => {
    disk = mount('-o', 'loop', image);
    writeFileSync(notes, '');
    writer = spawn(process.execPath, ['--import', 'tsx', writerPath, join(disk.path, 'data'), notes], {
      env: { ...process.env, KEYSTEAD_CRASH_WRITER: '1' },
      stdio: 'inherit',
    });
    while (lastNoted(notes, 'S') === 0) await sleep(20);
  });
  afterAll(async () => {
    const closed = once(writer, 'close');
    writer.kill('SIGCONT');
    writer.kill('SIGKILL');
    await closed;
    disk.unmount();
    rmSync(scratch, { recursive: true, force: true });
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'loses nothing acknowledged, and no column alone: cut %i',
    async (round) => {
      await sleep(100 + ((round * 337) % 500));
      writer.kill('SIGSTOP');
      // Stopping takes effect once the thread pool's writes have returned.
      await sleep(20);
      const acknowledged = lastNoted(notes, 'A');
      const synced = lastNoted(notes, 'S');
      const cut = join(scratch, 'cut.img');
      execFileSync('cp', ['--sparse=always', image, cut]);
      writer.kill('SIGCONT');
      const copy = mount('-o', 'loop', cut);
      try {
        const { engine, log, contents, close } = await openStorage({
          dataDirectory: join(copy.path, 'data'),
          newMetadata: () => Buffer.from('metadata'),
          onFailure: (error) => {
            throw error;
          },
        });
        const applied = appliedIndex(engine);
        expect(log.lastIndex).toBeGreaterThanOrEqual(acknowledged);
        expect(applied).toBeGreaterThanOrEqual(synced);
        expect(applied).toBeLessThanOrEqual(log.lastIndex);
        expect(applied).toBeGreaterThanOrEqual(contents.snapshot.index);
        expect(contiguousRows(engine, 'event')).toBe(applied);
        expect(contiguousRows(engine, 'latest')).toBe(applied);
        await close();
      } finally {
        copy.unmount();
        rmSync(cut);
      }
    },
  );
});
