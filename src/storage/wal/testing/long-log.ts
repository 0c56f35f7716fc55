import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { appended, entry, state } from '../../log-store.cases.ts';
import type { FileLogOptions } from '../file-log.ts';
import { createLog } from '../open-log.ts';

/* A log of several segments in `original`, for tests that damage a copy of it. */

export const root = mkdtempSync(join(tmpdir(), 'keystead-recovery-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const SEGMENT_BYTES = 8 << 10;
export const original = join(root, 'original', 'wal');
export const copy = join(root, 'copy');
export const optionsOf = (directory: string): FileLogOptions => ({
  directory,
  segmentBytes: SEGMENT_BYTES,
  onFailure: (error) => {
    throw error;
  },
});

export const segments = (): string[] =>
  readdirSync(original)
    .filter((name) => name.endsWith('.wal'))
    .sort();
export const lastFile = (): string => segments().at(-1)!;

/** Offsets of the frames in a segment, followed by the end of the last one. */
export function frameOffsets(bytes: Buffer): number[] {
  const offsets = [];
  let at = 0;
  for (; at + 8 <= bytes.length && bytes.readUInt32LE(at) !== 0;) {
    offsets.push(at);
    at += 8 + ((bytes.readUInt32LE(at) + 7) & ~7);
  }
  return [...offsets, at];
}

export const ENTRY_COUNT = 150;

beforeAll(async () => {
  const { log } = createLog(optionsOf(original), Buffer.from('metadata'));
  for (let index = 1; index < ENTRY_COUNT; index += 2) {
    const entries = [entry(index, 'a'.repeat(index * 3)), entry(index + 1, `b${index}`)];
    await appended(log, entries, state(2, index - 1));
  }
  await log.close();
});
