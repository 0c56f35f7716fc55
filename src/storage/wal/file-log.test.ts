import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { ConfState } from '../../wire/gen/raftpb.ts';
import { appended, entry, logStoreCases, state, type OpenedLogStore } from '../log-store.cases.ts';
import type { FileLog, FileLogOptions } from './file-log.ts';
import { createLog, openLog, readLog } from './open-log.ts';

const root = mkdtempSync(join(tmpdir(), 'keystead-wal-'));
let created = 0;
afterAll(() => rmSync(root, { recursive: true, force: true }));

const optionsOf = (directory: string, segmentBytes = 1 << 20): FileLogOptions => ({
  directory,
  segmentBytes,
  onFailure: (error) => {
    throw error;
  },
});
const freshOptions = (segmentBytes?: number): FileLogOptions =>
  optionsOf(join(root, String(created++), 'wal'), segmentBytes);

/** Copies the files as a process that is killed now leaves them. Released segments may be removed meanwhile. */
function copyFiles(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  for (const name of readdirSync(from)) {
    try {
      copyFileSync(join(from, name), join(to, name));
    } catch (error) {
      if (existsSync(join(from, name))) throw error;
    }
  }
}

for (const segmentBytes of [1 << 20, 4096]) {
  const optionsByLog = new Map<FileLog, FileLogOptions>();
  const remember = (opened: OpenedLogStore<FileLog>, options: FileLogOptions): OpenedLogStore<FileLog> => {
    optionsByLog.set(opened.log, options);
    return opened;
  };
  logStoreCases(
    `files of ${segmentBytes} bytes`,
    () => {
      const options = freshOptions(segmentBytes);
      return Promise.resolve(remember(createLog(options, Buffer.from('metadata')), options));
    },
    async (log) => {
      await log.close();
      const options = optionsByLog.get(log)!;
      return remember(openLog(options), options);
    },
  );
}

describe('log files', () => {
  const segmentsOf = (directory: string): string[] =>
    readdirSync(directory).filter((name) => name.endsWith('.wal'));

  // A start reads the last segment up to the end of its file: 64 MB of zeros took 10 to 36 ms of processor time.
  it('are filled with zeros no further than a little ahead of the writer', async () => {
    const aheadBytes = 128 << 10;
    const options = { ...freshOptions(1 << 20), sliceBytes: 16 << 10, aheadBytes };
    const { log } = createLog(options, Buffer.from('metadata'));
    const sizes = (): number[] =>
      segmentsOf(options.directory).map((name) => statSync(join(options.directory, name)).size);
    let index = 0;
    let written = 0;
    for (const bytes of [100, 20_000, 300_000, 100, 400_000, 600_000, 100]) {
      index += 1;
      await appended(log, [entry(index, 'x'.repeat(bytes))], state(1, index));
      written += bytes;
      await vi.waitFor(() => {
        const filled = sizes().reduce((sum, size) => sum + size, 0);
        expect(filled).toBeGreaterThan(written + aheadBytes - 1000);
      });
      // Each finished segment may end with space that no record fits into.
      expect(sizes().at(-1)).toBeLessThanOrEqual(Math.min(1 << 20, written + aheadBytes + (32 << 10)));
    }
    await log.close();
    const { log: reopened, contents } = openLog(options);
    expect(contents.entries).toHaveLength(index);
    await reopened.close();
  });

  it('continue in a new segment when one is full, and are read across segments', async () => {
    const options = freshOptions(16 << 10);
    const { log } = createLog(options, Buffer.from('metadata'));
    const data = 'z'.repeat(500);
    for (let index = 1; index <= 300; index += 3) {
      await appended(
        log,
        [entry(index, data), entry(index + 1, data), entry(index + 2, data)],
        state(1, index),
      );
    }
    expect(segmentsOf(options.directory).length).toBeGreaterThan(5);
    expect(segmentsOf(options.directory)[0]).toBe('0000000000000000-0000000000000000.wal');
    await log.close();
    const reopened = openLog(options);
    expect(reopened.contents.entries).toEqual(Array.from({ length: 300 }, (_, n) => entry(n + 1, data)));
    await appended(reopened.log, [entry(301, data)]);
    await reopened.log.close();
    const again = openLog(options);
    expect(again.contents.entries.at(-1)).toEqual(entry(301, data));
    await again.log.close();
  });

  it('drop whole segments below a snapshot record', async () => {
    const options = freshOptions(16 << 10);
    const { log } = createLog(options, Buffer.from('metadata'));
    for (let index = 1; index <= 200; index++)
      await appended(log, [entry(index, 'z'.repeat(500))], state(1, index));
    const before = segmentsOf(options.directory).length;
    await log.release({ index: 150, term: 1, confState: ConfState.create() });
    await vi.waitFor(() => expect(segmentsOf(options.directory).length).toBeLessThan(before - 3));
    for (let index = 201; index <= 400; index++)
      await appended(log, [entry(index, 'z'.repeat(500))], state(1, index));
    await log.close();
    const { log: reopened, contents } = openLog(options);
    expect(contents.snapshot.index).toBe(150);
    expect(contents.entries.map(({ index }) => index)).toEqual(
      Array.from({ length: 250 }, (_, n) => n + 151),
    );
    await reopened.close();
  });

  // After a restart of all members, one that lagged by a few entries needed a snapshot of the whole store.
  it.each([
    { voters: [1n], kept: 0 },
    { voters: [1n, 2n, 3n], kept: 8 << 10 },
  ])('keep $kept bytes before a snapshot record for the members $voters', async ({ voters, kept }) => {
    const options = freshOptions(16 << 10);
    const { log } = createLog(options, Buffer.from('metadata'));
    const data = 'z'.repeat(500);
    let leastKept = Infinity;
    for (let index = 1; index <= 300; index += 1) {
      await appended(log, [entry(index, data)], state(1, index));
      if (index % 7 !== 0) continue;
      await log.release({ index, term: 1, confState: ConfState.create({ voters }) });
      // Released segments are removed in the background.
      const { earlier, entries, snapshot } = await vi.waitFor(() => readLog(options).scan);
      expect([entries, snapshot?.index, earlier.at(-1)?.index ?? index]).toEqual([[], index, index]);
      if (index > 50) leastKept = Math.min(leastKept, earlier.length * 600);
      expect(segmentsOf(options.directory).length).toBeLessThanOrEqual(3);
    }
    expect(leastKept).toBeGreaterThanOrEqual(kept);
    expect(leastKept).toBeLessThan(kept + (8 << 10));
    await log.close();
  });

  it('know after a start how much follows the snapshot record', async () => {
    const options = freshOptions(16 << 10);
    const { log } = createLog(options, Buffer.from('metadata'));
    for (let index = 1; index <= 100; index += 1)
      await appended(log, [entry(index, 'z'.repeat(500))], state(1, index));
    await log.release({ index: 100, term: 1, confState: ConfState.create({ voters: [1n, 2n] }) });
    for (let index = 101; index <= 140; index += 1)
      await appended(log, [entry(index, 'z'.repeat(500))], state(1, index));
    const { unreleasedBytes } = log;
    await log.close();
    const { log: reopened } = openLog(options);
    expect(Math.abs(reopened.unreleasedBytes - unreleasedBytes)).toBeLessThan(500);
    await reopened.close();
  });

  // Released segments were reused: they were filled with zeros while they were written already. After a restart,
  // remains of their records were treated as records of this log, and it was refused as corrupt.
  it('hold no records of released segments when the process is killed at any moment', async () => {
    const options = freshOptions(2 << 20);
    const { log } = createLog(options, Buffer.from('metadata'));
    const data = 'z'.repeat(16 << 10);
    let index = 0;
    for (let round = 0; round < 40; round++) {
      const appends = Array.from({ length: 40 }, () =>
        appended(log, [entry(++index, data)], state(1, index)),
      );
      await Promise.all(appends);
      if (round % 4 === 3) await log.release({ index, term: 1, confState: ConfState.create() });
      const killed = optionsOf(join(root, String(created++), 'wal'));
      copyFiles(options.directory, killed.directory);
      const opened = openLog(killed);
      expect(opened.log.lastIndex).toBe(index);
      await opened.log.close();
      rmSync(killed.directory, { recursive: true });
    }
    await log.close();
    const { log: reopened } = openLog(options);
    expect(reopened.lastIndex).toBe(index);
    await reopened.close();
  });

  it('accept an entry that is larger than a segment', async () => {
    const options = freshOptions(16 << 10);
    const { log } = createLog(options, Buffer.from('metadata'));
    await appended(log, [entry(1)], state(1, 0));
    await appended(log, [entry(2, 'L'.repeat(3 << 20))], state(1, 1));
    await appended(log, [entry(3)], state(1, 2));
    await log.close();
    const { log: reopened, contents } = openLog(options);
    expect(contents.entries.map(({ data }) => data?.length)).toEqual([6, 3 << 20, 6]);
    await reopened.close();
  });
});
