import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it, vi } from 'vitest';
import type { LogDisk } from '../../ports/log-disk.ts';
import { appended, entry, state } from '../log-store.cases.ts';
import { nodeDisk } from './node-disk.ts';
import { createLog } from './open-log.ts';

const directory = mkdtempSync(join(tmpdir(), 'keystead-reserved-space-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

// A writer at full rate came to the end of its segment before the pauses ended, on a disk that had become full.
it('a new segment is filled with the reserve at once, without pauses between its slices', async () => {
  const sizes: number[] = [];
  let isPaused = false;
  const disk: LogDisk = {
    ...nodeDisk,
    create: (path) => {
      const file = nodeDisk.create(path);
      const number = sizes.push(0) - 1;
      return {
        write: (bytes, position, done) => {
          sizes[number] = Math.max(sizes[number] ?? 0, position + bytes.length);
          file.write(bytes, position, done);
        },
        writeNow: (bytes, position) => file.writeNow(bytes, position),
        syncNow: () => file.syncNow(),
        close: () => file.close(),
      };
    },
    after: (delayMs, task) => (isPaused ? () => undefined : nodeDisk.after(delayMs, task)),
  };
  const { log } = createLog(
    {
      directory: join(directory, 'wal'),
      segmentBytes: 1 << 20,
      sliceBytes: 16 << 10,
      disk,
      onFailure: (error) => {
        throw error;
      },
    },
    Buffer.from('metadata'),
  );
  await appended(log, [entry(1)], state(1, 0));
  await vi.waitFor(() => expect(sizes.at(-1)).toBe(1 << 20));
  // From now on a pause ends only with the log.
  isPaused = true;
  for (let index = 2; index < 80; index++) await appended(log, [entry(index, 'x'.repeat(4096))]);
  await vi.waitFor(() => expect(sizes.at(-1)).toBeGreaterThanOrEqual(128 << 10));
  expect(sizes).toHaveLength(2);
  await log.close();
});
