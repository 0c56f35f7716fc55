import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, it, vi } from 'vitest';
import type { LogDisk, WritableFile } from '../../ports/log-disk.ts';
import { appended, entry, state } from '../log-store.cases.ts';
import type { FileLogOptions } from './file-log.ts';
import { nodeDisk } from './node-disk.ts';
import { createLog, openLog } from './open-log.ts';

const root = mkdtempSync(join(tmpdir(), 'keystead-wal-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const AHEAD_BYTES = 256 << 10;
const LARGE = 'x'.repeat(3 << 20);

/** Lengths of the writes to all files, in the order in which they began. */
let lengths: number[];
/** End of the file above which nothing can be written. */
let fullAt: number;
let created = 0;

beforeEach(() => {
  lengths = [];
  fullAt = Infinity;
  created += 1;
});

function watched(file: WritableFile): WritableFile {
  let size = 0;
  return {
    write: (bytes, position, done) => {
      lengths.push(bytes.length);
      const end = position + bytes.length;
      if (end > Math.max(fullAt, size)) {
        // As a real disk, it takes a part before it refuses.
        const part = bytes.subarray(0, Math.max(0, fullAt - position));
        file.write(part, position, () => done(Object.assign(new Error('no space'), { code: 'ENOSPC' })));
        return;
      }
      size = Math.max(size, end);
      file.write(bytes, position, done);
    },
    writeNow: (bytes, position) => {
      size = Math.max(size, position + bytes.length);
      file.writeNow(bytes, position);
    },
    syncNow: () => file.syncNow(),
    close: () => file.close(),
  };
}

const disk: LogDisk = {
  ...nodeDisk,
  create: (path) => watched(nodeDisk.create(path)),
  after: (delayMs, task) => nodeDisk.after(Math.min(delayMs, 5), task),
};

const optionsOf = (segmentBytes: number): FileLogOptions => ({
  directory: join(root, String(created), 'wal'),
  segmentBytes,
  aheadBytes: AHEAD_BYTES,
  disk,
  onFailure: (error) => {
    throw error;
  },
});

/** Waits until nothing is prepared any more. */
const idle = (): Promise<void> =>
  vi.waitFor(async () => {
    const before = lengths.length;
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(lengths).toHaveLength(before);
  });

// A follower that caught up with 64 KB values waited half of the time for zeros, a megabyte at a time.
it('large records do not wait for zeros', async () => {
  const options = optionsOf(16 << 20);
  const { log } = createLog(options, Buffer.from('metadata'));
  await idle();
  lengths = [];
  await appended(log, [entry(1, LARGE)], state(1, 1));
  expect(lengths[0]).toBeGreaterThan(LARGE.length);
  await log.close();
  expect(openLog(options).contents.entries).toEqual([entry(1, LARGE)]);
});

it('large records do not wait for the zeros of a new segment', async () => {
  const options = optionsOf(4 << 20);
  const { log } = createLog(options, Buffer.from('metadata'));
  await appended(log, [entry(1, LARGE)], state(1, 1));
  await idle();
  lengths = [];
  await appended(log, [entry(2, LARGE)], state(1, 2));
  expect(lengths[0]).toBeGreaterThan(LARGE.length);
  await appended(log, [entry(3, 'small')], state(1, 3));
  await log.close();
  expect(openLog(options).contents.entries).toEqual([entry(1, LARGE), entry(2, LARGE), entry(3, 'small')]);
});

it('zeros and records never overlap', async () => {
  const options = optionsOf(1 << 20);
  const { log } = createLog(options, Buffer.from('metadata'));
  const entries = Array.from({ length: 60 }, (_, at) =>
    entry(at + 1, String(at % 10).repeat(((at * 7919) % 200) << 10)),
  );
  await Promise.all(entries.map((each) => appended(log, [each], state(1, each.index))));
  await log.close();
  expect(openLog(options).contents.entries).toEqual(entries);
});

it('records wait for a full disk and are written when there is space', async () => {
  const options = optionsOf(16 << 20);
  const { log } = createLog(options, Buffer.from('metadata'));
  await idle();
  fullAt = 1 << 20;
  const writing = appended(log, [entry(1, LARGE)], state(1, 1));
  await vi.waitFor(() => expect(lengths.filter((length) => length > LARGE.length).length).toBeGreaterThan(2));
  expect(log.room).toBe(0);
  fullAt = Infinity;
  await writing;
  await vi.waitFor(() => expect(log.room).toBe(Infinity));
  await log.close();
  expect(openLog(options).contents.entries).toEqual([entry(1, LARGE)]);
});

it('a stop does not wait for disk space', async () => {
  const options = optionsOf(16 << 20);
  const { log } = createLog(options, Buffer.from('metadata'));
  await appended(log, [entry(1, 'written')], state(1, 1));
  await idle();
  fullAt = 1 << 20;
  log.append({ entries: [entry(2, LARGE)], hardState: undefined }, () => undefined);
  await vi.waitFor(() => expect(lengths.at(-1)).toBeGreaterThan(LARGE.length));
  await log.close();
  const { log: reopened, contents } = openLog({ ...options, disk: nodeDisk });
  expect(contents.entries).toEqual([entry(1, 'written')]);
  await reopened.close();
});
