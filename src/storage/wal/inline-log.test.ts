import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import type { LogDisk, WritableFile } from '../../ports/log-disk.ts';
import { appended, entry, state } from '../log-store.cases.ts';
import type { FileLog } from './file-log.ts';
import { nodeDisk } from './node-disk.ts';
import { createLog, openLog } from './open-log.ts';

const root = mkdtempSync(join(tmpdir(), 'keystead-inline-log-'));
let created = 0;
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** The real disk. A test decides how long writes seem to take, whether the event loop was idle, and what fails. */
class TestDisk {
  nowMs = 0;
  idleMs = 0;
  /** Duration of each write in the background, and of each inline write. */
  writeMs = 0.1;
  inlineMs = 0.1;
  inlineWrites = 0;
  error: Error | undefined;

  readonly disk: LogDisk = {
    ...nodeDisk,
    times: { now: () => this.nowMs, waitedForInput: () => this.idleMs, waitedForProcessor: () => 0 },
    create: (path) => this.#file(nodeDisk.create(path)),
    openToWrite: (path) => this.#file(nodeDisk.openToWrite(path)),
  };

  #file(file: WritableFile): WritableFile {
    return {
      write: (bytes, position, done) =>
        file.write(bytes, position, (error) => {
          this.nowMs += this.writeMs;
          done(error);
        }),
      writeNow: (bytes, position) => {
        this.inlineWrites += 1;
        this.nowMs += this.inlineMs;
        if (this.error !== undefined) throw this.error;
        file.writeNow(bytes, position);
      },
      syncNow: () => file.syncNow(),
      close: () => file.close(),
    };
  }
}

interface Opened {
  readonly test: TestDisk;
  readonly log: FileLog;
  readonly failures: Error[];
  readonly reopen: () => Promise<number[]>;
  /** Appends an entry and tries to write it inline. @returns whether it was on disk at once */
  readonly put: (bytes?: number) => Promise<boolean>;
  index: number;
}

/** A log with the first entries, which were written in the background. */
async function openedLog(segmentBytes = 1 << 20): Promise<Opened> {
  const test = new TestDisk();
  const failures: Error[] = [];
  const options = {
    directory: join(root, String(created++), 'wal'),
    segmentBytes,
    disk: test.disk,
    onFailure: (error: Error) => failures.push(error),
  };
  const { log } = createLog(options, Buffer.from('metadata'));
  test.inlineWrites = 0;
  const opened: Opened = {
    test,
    log,
    failures,
    index: 0,
    put: async (bytes = 100) => {
      opened.index += 1;
      test.idleMs += 1;
      let isDone = false;
      const done = new Promise<void>((resolve) => {
        log.append({ entries: [entry(opened.index, 'x'.repeat(bytes))], hardState: undefined }, () => {
          isDone = true;
          resolve();
        });
      });
      expect(isDone).toBe(false);
      log.writeNow();
      const wasDone = isDone;
      await done;
      return wasDone;
    },
    reopen: async () => {
      await log.close();
      const again = openLog(options);
      await again.log.close();
      return again.contents.entries.map(({ index }) => index);
    },
  };
  await appended(log, [entry(1)], state(1, 0));
  for (opened.index = 1; opened.index < 8;) {
    opened.index += 1;
    await appended(log, [entry(opened.index)], state(1, opened.index - 1));
  }
  return opened;
}

const upTo = (last: number): number[] => Array.from({ length: last }, (_, at) => at + 1);

describe('a log written inline', () => {
  it('is on disk when writeNow returns', async () => {
    const opened = await openedLog();
    expect(await opened.put()).toBe(true);
    expect(opened.test.inlineWrites).toBe(1);
    expect(await opened.reopen()).toEqual(upTo(9));
  });

  it('has the entries of inline writes and of writes in the background in order, over several segments', async () => {
    const opened = await openedLog(16 << 10);
    const inline: boolean[] = [];
    for (let round = 0; round < 200; round++) {
      if (round % 3 === 0) opened.test.idleMs -= 1;
      inline.push(await opened.put(50 + (round % 7) * 40));
    }
    expect(inline.filter(Boolean).length).toBeGreaterThan(50);
    expect(inline.filter((wasDone) => !wasDone).length).toBeGreaterThan(50);
    expect(await opened.reopen()).toEqual(upTo(opened.index));
  });

  it('waits for a write in the background', async () => {
    const opened = await openedLog();
    const { log } = opened;
    const first = appended(log, [entry(9)]);
    log.flush();
    opened.test.idleMs += 1;
    const order: number[] = [];
    const second = appended(log, [entry(10)]).then(() => order.push(10));
    log.writeNow();
    expect(opened.test.inlineWrites).toBe(0);
    await first.then(() => order.push(9));
    await second;
    expect(order).toEqual([9, 10]);
    opened.index = 10;
    expect(await opened.reopen()).toEqual(upTo(10));
  });

  it('is written in the background again for a while after a slow write', async () => {
    const opened = await openedLog();
    opened.test.inlineMs = 50;
    expect(await opened.put()).toBe(true);
    opened.test.inlineMs = 0.1;
    expect(await opened.put()).toBe(false);
    opened.test.nowMs += 100;
    expect(await opened.put()).toBe(true);
    expect(await opened.reopen()).toEqual(upTo(opened.index));
  });

  it('is written in the background if an append is large', async () => {
    const opened = await openedLog();
    expect(await opened.put(100_000)).toBe(false);
    expect(await opened.put()).toBe(true);
    expect(await opened.reopen()).toEqual(upTo(opened.index));
  });

  it('reports a failed inline write once, and acknowledges nothing', async () => {
    const { test, log, failures } = await openedLog();
    test.idleMs += 1;
    test.error = new Error('EIO');
    const done = vi.fn();
    log.append({ entries: [entry(9)], hardState: undefined }, done);
    log.writeNow();
    log.append({ entries: [entry(10)], hardState: undefined }, done);
    log.writeNow();
    log.flush();
    await log.close();
    expect(failures).toEqual([new Error('EIO')]);
    expect(test.inlineWrites).toBe(1);
    expect(done).not.toHaveBeenCalled();
  });
});
