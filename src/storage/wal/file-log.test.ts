import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ConfState } from '../../wire/gen/raftpb.ts';
import { appended, entry, logStoreCases, state, type OpenedLogStore } from '../log-store.cases.ts';
import type { FileLog, FileLogOptions } from './file-log.ts';
import { createLog, openLog } from './open-log.ts';

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

for (const segmentBytes of [1 << 20, 4096]) {
  const optionsByLog = new Map<FileLog, FileLogOptions>();
  const remember = (opened: OpenedLogStore<FileLog>, options: FileLogOptions): OpenedLogStore<FileLog> => {
    optionsByLog.set(opened.log, options);
    return opened;
  };
  logStoreCases(
    `files of ${segmentBytes} bytes`,
    async () => {
      const options = freshOptions(segmentBytes);
      return remember(await createLog(options, Buffer.from('metadata')), options);
    },
    async (log) => {
      await log.close();
      const options = optionsByLog.get(log)!;
      return remember(await openLog(options), options);
    },
  );
}

describe('log files', () => {
  const segmentsOf = (directory: string): string[] =>
    readdirSync(directory).filter((name) => name.endsWith('.wal'));

  it('go on in a new segment when one is full, and are read back across segments', async () => {
    const options = freshOptions(16 << 10);
    const { log } = await createLog(options, Buffer.from('metadata'));
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
    const read = await log.read(1, 301, Infinity);
    expect(read.map(({ index }) => index)).toEqual(Array.from({ length: 300 }, (_, n) => n + 1));
    expect((await log.read(150, 151, Infinity))[0]).toEqual(entry(150, data));
    await log.close();
    const reopened = await openLog(options);
    expect(reopened.contents.entries.length).toBe(300);
    await appended(reopened.log, [entry(301, data)]);
    await reopened.log.close();
    const again = await openLog(options);
    expect(again.contents.entries.at(-1)).toEqual(entry(301, data));
    await again.log.close();
  });

  it('drop whole segments below a mark', async () => {
    const options = freshOptions(16 << 10);
    const { log } = await createLog(options, Buffer.from('metadata'));
    for (let index = 1; index <= 200; index++)
      await appended(log, [entry(index, 'z'.repeat(500))], state(1, index));
    const before = segmentsOf(options.directory).length;
    await log.release({ index: 150, term: 1, confState: ConfState.create() });
    expect(segmentsOf(options.directory).length).toBeLessThan(before - 3);
    expect(log.firstIndex).toBeGreaterThan(100);
    expect(log.firstIndex).toBeLessThanOrEqual(151);
    for (let index = 201; index <= 400; index++)
      await appended(log, [entry(index, 'z'.repeat(500))], state(1, index));
    await log.close();
    const { log: reopened, contents } = await openLog(options);
    expect(contents.mark.index).toBe(150);
    expect(contents.entries.map(({ index }) => index)).toEqual(
      Array.from({ length: 250 }, (_, n) => n + 151),
    );
    await reopened.close();
  });

  it('take one entry that is larger than a segment', async () => {
    const options = freshOptions(16 << 10);
    const { log } = await createLog(options, Buffer.from('metadata'));
    await appended(log, [entry(1)], state(1, 0));
    await appended(log, [entry(2, 'L'.repeat(3 << 20))], state(1, 1));
    await appended(log, [entry(3)], state(1, 2));
    await log.close();
    const { log: reopened, contents } = await openLog(options);
    expect(contents.entries.map(({ data }) => data?.length)).toEqual([6, 3 << 20, 6]);
    await reopened.close();
  });
});
