import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { appended, entry, state } from '../log-store.cases.ts';
import type { LogContents } from '../../ports/log-store.ts';
import { CorruptLogError } from './corrupt-log-error.ts';
import type { FileLogOptions } from './file-log.ts';
import { scanLog } from './log-scan.ts';
import { createLog, openLog } from './open-log.ts';
import { listSegments } from './segment-name.ts';

const root = mkdtempSync(join(tmpdir(), 'keystead-recovery-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const SEGMENT_BYTES = 8 << 10;
const original = join(root, 'original', 'wal');
const copy = join(root, 'copy');
const optionsOf = (directory: string): FileLogOptions => ({
  directory,
  segmentBytes: SEGMENT_BYTES,
  onFailure: (error) => {
    throw error;
  },
});

const segments = (): string[] =>
  readdirSync(original)
    .filter((name) => name.endsWith('.wal'))
    .sort();
const lastFile = (): string => segments().at(-1)!;

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

/** Offsets of the frames in a segment, followed by the end of the last one. */
function frameOffsets(bytes: Buffer): number[] {
  const offsets = [];
  let at = 0;
  for (; at + 8 <= bytes.length && bytes.readUInt32LE(at) !== 0;) {
    offsets.push(at);
    at += 8 + ((bytes.readUInt32LE(at) + 7) & ~7);
  }
  return [...offsets, at];
}

const ENTRY_COUNT = 150;
const all = Array.from({ length: ENTRY_COUNT }, (_, n) => n + 1);

beforeAll(async () => {
  const { log } = createLog(optionsOf(original), Buffer.from('metadata'));
  for (let index = 1; index < ENTRY_COUNT; index += 2) {
    const entries = [entry(index, 'a'.repeat(index * 3)), entry(index + 1, `b${index}`)];
    await appended(log, entries, state(2, index - 1));
  }
  await log.close();
});

describe('recovery', () => {
  it('repairs a last write cut short at any byte', () => {
    const bytes = readFileSync(join(original, lastFile()));
    const frames = frameOffsets(bytes);
    // The last write: two entries and a state record.
    const [first, second, third, end] = frames.slice(-4) as [number, number, number, number];
    rmSync(copy, { recursive: true, force: true });
    cpSync(original, copy, { recursive: true });
    for (let cut = first + 1; cut < end; cut++) {
      const kept = Buffer.from(bytes).fill(0, cut);
      for (const damaged of [kept, kept.subarray(0, cut)]) {
        writeFileSync(join(copy, lastFile()), damaged);
        const found: number[] = [];
        scanLog(copy, listSegments(copy), { onEntry: ({ index }) => found.push(index) });
        const atLeast = ENTRY_COUNT - (cut < second ? 2 : cut < third ? 1 : 0);
        expect([atLeast, atLeast + 1]).toContain(found.length);
        expect(found).toEqual(all.slice(0, found.length));
      }
    }
  });

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

  /** Flips one bit at a time and scans. Passes the result, an error or the entries found, to `judge`. */
  function flipEach(
    file: string,
    offsets: Iterable<number>,
    judge: (outcome: CorruptLogError | number[], at: number) => void,
  ): void {
    rmSync(copy, { recursive: true, force: true });
    cpSync(original, copy, { recursive: true });
    const path = join(copy, file);
    const bytes = readFileSync(path);
    for (const at of offsets) {
      const damaged = Buffer.from(bytes);
      damaged[at]! ^= 1 << (at % 8);
      writeFileSync(path, damaged);
      const found: number[] = [];
      try {
        scanLog(copy, listSegments(copy), { onEntry: ({ index }) => found.push(index) });
        judge(found, at);
      } catch (error) {
        if (!(error instanceof CorruptLogError)) throw error;
        judge(error, at);
      }
    }
  }

  function* range(from: number, to: number): Generator<number> {
    for (let at = from; at < to; at += 3) yield at;
  }

  it.each([
    ['the middle of the last segment', () => lastFile(), 0.5],
    ['an earlier segment', () => segments()[0]!, 0.99],
  ])('refuses any flipped bit in %s, naming file and offset', (_, file, until) => {
    const frames = frameOffsets(readFileSync(join(original, file())));
    flipEach(file(), range(frames[1]!, Math.floor(frames.at(-1)! * until)), (outcome, at) => {
      // Only padding is not covered by a checksum or a check of a field.
      if (!(outcome instanceof CorruptLogError)) return expect(outcome).toEqual(all);
      const frame = frames.findLastIndex((offset) => offset <= at);
      expect(outcome.file).toBe(file());
      // The record with the bit, or the next one if the bit changed the checksum before it.
      expect(frames.slice(frame, frame + 2)).toContain(outcome.offset);
      expect(outcome.message).toContain(`${file()} at offset ${outcome.offset}`);
    });
  });

  it('drops nothing of a last write for one flipped bit, except in a length', () => {
    const frames = frameOffsets(readFileSync(join(original, lastFile())));
    const [first, second, third, end] = frames.slice(-4) as [number, number, number, number];
    const isInLength = (at: number): boolean =>
      [first, second, third].some((frame) => at >= frame && at < frame + 8);
    flipEach(lastFile(), range(first, end), (outcome, at) => {
      if (!(outcome instanceof CorruptLogError) && !isInLength(at)) expect(outcome).toEqual(all);
    });
  });

  it('refuses a log with a segment missing', () => {
    rmSync(copy, { recursive: true, force: true });
    cpSync(original, copy, { recursive: true });
    rmSync(join(copy, segments()[1]!));
    expect(() => openLog(optionsOf(copy))).toThrow(/segment before it is missing/);
  });
});
