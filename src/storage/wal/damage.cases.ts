import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CorruptLogError } from './corrupt-log-error.ts';
import { scanLog } from './log-scan.ts';
import { listSegments } from './segment-name.ts';
import { copy, ENTRY_COUNT, frameOffsets, lastFile, original, segments } from './testing/long-log.ts';

const all = Array.from({ length: ENTRY_COUNT }, (_, n) => n + 1);

interface Strides {
  /** Bytes from one place where the last write is cut to the next. */
  readonly cutStride: number;
  /** Bytes from one flipped bit to the next. */
  readonly flipStride: number;
}

/** Recovery of a damaged log. The strides say how many places are damaged, each in a run of its own. */
export function damageCases({ cutStride, flipStride }: Strides): void {
  describe('recovery of a damaged log', () => {
    it('repairs a last write cut short at any byte', () => {
      const bytes = readFileSync(join(original, lastFile()));
      const frames = frameOffsets(bytes);
      // The last write: two entries and a state record.
      const [first, second, third, end] = frames.slice(-4) as [number, number, number, number];
      rmSync(copy, { recursive: true, force: true });
      cpSync(original, copy, { recursive: true });
      for (let cut = first + 1; cut < end; cut += cutStride) {
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
      for (let at = from; at < to; at += flipStride) yield at;
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
  });
}
