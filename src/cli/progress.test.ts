import { expect, it } from 'vitest';
import { Progress, progressLine } from './progress.ts';

function setUp(isTTY: boolean, columns = 60) {
  const written: string[] = [];
  const time = { nowMs: 0 };
  const terminal = { isTTY, columns, write: (text: string) => written.push(text) };
  return { written, time, progress: new Progress(terminal, () => time.nowMs) };
}

it('nothing is written to anything else than a terminal', () => {
  const { written, progress } = setUp(false);
  progress.show('importing', 'changes', 1);
  progress.end();
  expect(written).toEqual([]);
});

it('the line is written over itself, at most ten times a second, cut to the terminal, and removed at the end', () => {
  const { written, time, progress } = setUp(true);
  progress.end();
  for (let step = 0; step <= 100; step += 1) {
    time.nowMs = step * 10;
    progress.show('importing', 'changes', step * 1000);
  }
  expect(written).toHaveLength(11);
  expect(written.at(-1)).toBe('\r\x1b[Kimporting  100,000 changes  100,000/s');
  progress.show('a title that is much longer than the terminal is wide, so it is cut', 'bytes', 5, 10);
  expect(written.at(-1)).toHaveLength('\r\x1b[K'.length + 59);
  progress.end();
  progress.end();
  expect(written.slice(12)).toEqual(['\r\x1b[K']);
});

it('a terminal that does not tell its width gets whole lines', () => {
  const { written, progress } = setUp(true, 0);
  progress.show('restoring', 'changes', 1000);
  expect(written).toEqual(['\r\x1b[Krestoring  1,000 changes']);
});

it.each([
  [{ done: 0, total: 100, seconds: 0 }, 'saving  [------------------------]   0 %  0 B of 100 B'],
  [
    { done: 3 * 2 ** 20, total: 12 * 2 ** 20, seconds: 2 },
    'saving  [######------------------]  25 %  3.0 MiB of 12.0 MiB  1.5 MiB/s  6 s left',
  ],
  [
    { done: 2 ** 30, total: 1000 * 2 ** 30, seconds: 10 },
    'saving  [------------------------]   0 %  1.0 GiB of 1000.0 GiB  102.4 MiB/s  2.8 h left',
  ],
  [{ done: 10, total: 10, seconds: 1 }, 'saving  [########################] 100 %  10 B of 10 B  10 B/s'],
  [{ done: 20, total: 10, seconds: 1 }, 'saving  [########################] 100 %  20 B of 10 B  20 B/s'],
  [{ done: 2048, total: undefined, seconds: 1 }, 'saving  2.0 KiB  2.0 KiB/s'],
])('%j is shown as %s', (state, line) => {
  expect(progressLine({ title: 'saving', unit: 'bytes', ...state })).toBe(line);
});
