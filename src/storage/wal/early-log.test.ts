import { mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EarlyLog } from './early-log.ts';
import type { FileLog, FileLogOptions } from './file-log.ts';
import { createLog, openLog } from './open-log.ts';

describe('a log that is read before the lock is held', () => {
  let root: string;
  let options: FileLogOptions;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'keystead-early-log-'));
    const onFailure = (error: Error) => {
      throw error;
    };
    options = { directory: join(root, 'wal'), segmentBytes: 1 << 20, onFailure };
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  const append = (log: FileLog, index: number): Promise<void> =>
    new Promise((resolve) =>
      log.append(
        { entries: [{ type: 0, term: 1, index, data: Buffer.from('x') }], hardState: undefined },
        resolve,
      ),
    );
  const paths = (): string[] => readdirSync(options.directory).map((name) => join(options.directory, name));
  /** As if the process that wrote the log had ended some time ago. */
  const age = (): void => {
    for (const path of paths()) utimesSync(path, 1000, 1000);
  };
  const made = async (): Promise<void> => {
    const { log } = createLog(options, Buffer.from('metadata'));
    await append(log, 1);
    await log.close();
  };

  it('is used if nobody has written to it since', async () => {
    await made();
    age();
    const found = EarlyLog.read(options.directory)?.unchanged();
    expect(found?.scan.entries.map(({ index }) => index)).toEqual([1]);
    const { log, contents } = openLog(options, found);
    expect(contents.entries).toHaveLength(1);
    await append(log, 2);
    await log.close();
    expect(openLog(options).contents.entries).toHaveLength(2);
  });

  it('is read again if a process that was about to end has written to it since', async () => {
    await made();
    age();
    const { log } = openLog(options);
    age();
    const early = EarlyLog.read(options.directory);
    await append(log, 2);
    await log.close();
    expect(early).toBeDefined();
    expect(early?.unchanged()).toBeUndefined();
  });

  it('is read again if it was written so shortly before that the time of its files may not tell', async () => {
    await made();
    expect(EarlyLog.read(options.directory)?.unchanged()).toBeUndefined();
  });

  it('is read again if it could not be read', async () => {
    await made();
    const [path = ''] = paths();
    const bytes = readFileSync(path);
    bytes.fill(0xff, 0, 100);
    writeFileSync(path, bytes);
    age();
    expect(EarlyLog.read(options.directory)).toBeUndefined();
    expect(EarlyLog.read(join(root, 'nothing'))).toBeUndefined();
  });
});
