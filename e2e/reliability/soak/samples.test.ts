import { describe, expect, it } from 'vitest';
import { notFlat, type Sample } from './samples.ts';

const sample = (minutes: number, residentMb: number): Sample => ({
  seconds: minutes * 60,
  residentMb,
  member: 'a',
  files: 40,
  diskMb: 100,
  processorSeconds: 1,
  loopDelayMs: 1,
  answered: 1,
  failed: 0,
});
const curve = (memory: (at: number) => number): Sample[] =>
  Array.from({ length: 40 }, (_, at) => sample(at, memory(at)));

describe('the curves of a soak', () => {
  it('may rise while it warms up, and wave', () => {
    expect(
      notFlat(
        curve((at) => 150 + Math.min(at, 8) * 10 + (at % 3)),
        'a',
      ),
    ).toEqual([]);
  });

  it('may not rise all the time', () => {
    const [fault] = notFlat(
      curve((at) => 150 + at * 10),
      'a',
    );
    expect(fault).toContain('memory');
  });

  it('say nothing of a member that was seen too seldom', () => {
    expect(notFlat([sample(1, 1)], 'a')).toHaveLength(1);
  });
});
