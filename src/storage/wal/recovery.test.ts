import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { LogContents } from '../../ports/log-store.ts';
import { appended, entry, state } from '../log-store.cases.ts';
import { damageCases } from './damage.cases.ts';
import { createLog, openLog } from './open-log.ts';
import {
  copy,
  ENTRY_COUNT,
  frameOffsets,
  lastFile,
  optionsOf,
  original,
  root,
  segments,
} from './testing/long-log.ts';

/** Opens a copy of the log after `damage` did something to the bytes of one of its files. */
async function openDamaged(
  file: string,
  damage: (bytes: Buffer, path: string) => Buffer | undefined,
): Promise<LogContents> {
  rmSync(copy, { recursive: true, force: true });
  cpSync(original, copy, { recursive: true });
  const path = join(copy, file);
  const changed = damage(readFileSync(path), path);
  if (changed !== undefined) writeFileSync(path, changed);
  const { log, contents } = openLog(optionsOf(copy));
  await log.close();
  return contents;
}

describe('recovery', () => {
  it('continues writing after a repair', async () => {
    const end = frameOffsets(readFileSync(join(original, lastFile()))).at(-1)!;
    const contents = await openDamaged(lastFile(), (bytes) => bytes.fill(0, end - 10));
    expect(contents.repaired?.file).toBe(lastFile());
    const { log, contents: repaired } = openLog(optionsOf(copy));
    expect(repaired.repaired).toBeUndefined();
    await appended(log, [entry(ENTRY_COUNT + 1)], state(2, ENTRY_COUNT));
    await log.close();
    const { log: again, contents: found } = openLog(optionsOf(copy));
    await again.close();
    expect(found.entries.at(-1)).toEqual(entry(ENTRY_COUNT + 1));
  });

  it('treats a last write with a missing sector as torn', async () => {
    const { log } = createLog(optionsOf(join(root, 'sector', 'wal')), Buffer.from('metadata'));
    await appended(log, [entry(1)], state(1, 0));
    await appended(log, [entry(2, 'x'.repeat(5000)), entry(3, 'y')], state(1, 1));
    await log.close();
    const path = join(root, 'sector', 'wal', '0000000000000000-0000000000000000.wal');
    writeFileSync(path, readFileSync(path).fill(0, 2048, 2560));
    const { log: opened, contents } = openLog(optionsOf(join(root, 'sector', 'wal')));
    await opened.close();
    expect(contents.entries).toEqual([entry(1)]);
    expect(contents.repaired?.bytes).toBeGreaterThan(4000);
  });

  it('refuses a log with a segment missing', () => {
    rmSync(copy, { recursive: true, force: true });
    cpSync(original, copy, { recursive: true });
    rmSync(join(copy, segments()[1]!));
    expect(() => openLog(optionsOf(copy))).toThrow(/segment before it is missing/);
  });
});

// A few places only; recovery.slow.test.ts damages all of them.
damageCases({ cutStride: 41, flipStride: 149 });
