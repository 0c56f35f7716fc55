import { describe, expect, it } from 'vitest';
import { InlineWrites } from './inline-writes.ts';

/** Times that only move when a test moves them, in milliseconds. */
class Times {
  nowMs = 0;
  inputMs = 0;
  processorMs = 0;
  readonly now = (): number => this.nowMs;
  readonly waitedForInput = (): number => this.inputMs;
  readonly waitedForProcessor = (): number => this.processorMs;

  waitForInput(ms: number): void {
    this.nowMs += ms;
    this.inputMs += ms;
  }
}

function quickDisk(): { times: Times; inline: InlineWrites } {
  const times = new Times();
  const inline = new InlineWrites(times);
  for (let n = 0; n < 8; n++) inline.noteBackground(0.2);
  times.waitForInput(1);
  return { times, inline };
}

/** Whether the next write is inline, apart from the one of 64 that is in the background to compare. */
function isInline(inline: InlineWrites): boolean {
  return inline.isNext() || inline.isNext();
}

/** An inline write of so many milliseconds, and then a wait for input. @returns its duration */
function write(inline: InlineWrites, times: Times, ms: number, withoutProcessorMs = 0): number {
  expect(isInline(inline)).toBe(true);
  const took = inline.run(() => {
    times.nowMs += ms;
    times.processorMs += withoutProcessorMs;
  });
  times.waitForInput(1);
  return took;
}

describe('inline writes of the log', () => {
  it('begin when some writes in the background have shown that the disk is quick', () => {
    const times = new Times();
    const inline = new InlineWrites(times);
    times.waitForInput(1);
    // Writes in the background also wait for threads; one quick write of eight shows how quick the disk is.
    for (const ms of [30, 4, 0.3, 5, 30, 4, 5]) inline.noteBackground(ms);
    expect(inline.isNext()).toBe(false);
    inline.noteBackground(40);
    expect(inline.isNext()).toBe(true);
  });

  it('never happen on a slow disk', () => {
    const times = new Times();
    const inline = new InlineWrites(times);
    for (let n = 0; n < 100; n++) {
      times.waitForInput(5);
      inline.noteBackground(1.2 + (n % 5));
      expect(inline.isNext()).toBe(false);
    }
  });

  it('end when the disk gets slow, also without a single write that is very slow', () => {
    const { times, inline } = quickDisk();
    while (isInline(inline) && times.nowMs < 1000) write(inline, times, 1.5);
    expect(times.nowMs).toBeLessThan(100);
  });

  it('are compared with writes in the background: one of 64', () => {
    const { times, inline } = quickDisk();
    let inBackground = 0;
    for (let n = 0; n < 640; n++) {
      if (inline.isNext()) inline.run(() => undefined);
      else inBackground += 1;
      times.waitForInput(1);
    }
    expect(inBackground).toBe(10);
  });

  it('continue on a machine where they are slow, but writes in the background far slower', () => {
    const { times, inline } = quickDisk();
    for (let n = 0; n < 8; n++) inline.noteBackground(30);
    for (let n = 0; n < 200; n++) write(inline, times, 5);
    for (let n = 0; n < 16; n++) inline.noteBackground(6);
    write(inline, times, 5);
    expect(isInline(inline)).toBe(false);
  });

  it('continue if few writes are a little slower', () => {
    const { times, inline } = quickDisk();
    for (let n = 0; n < 1000; n++) write(inline, times, n % 30 === 0 ? 5 : 0.1);
  });

  it('rest after a slow write, longer each time', () => {
    const { times, inline } = quickDisk();
    for (const restMs of [100, 200, 400, 800]) {
      expect(write(inline, times, 30)).toBe(30);
      times.waitForInput(restMs - 10);
      expect(inline.isNext()).toBe(false);
      times.waitForInput(10);
      write(inline, times, 0.2);
    }
    for (let n = 0; n < 20; n++) {
      write(inline, times, 30);
      times.waitForInput(60_000);
    }
    for (let n = 0; n < 1000; n++) write(inline, times, 0.2);
    write(inline, times, 30);
    times.waitForInput(100);
    expect(inline.isNext()).toBe(true);
  });

  it('do not end because other processes had the processor', () => {
    const { times, inline } = quickDisk();
    for (let n = 0; n < 100; n++) expect(write(inline, times, 30, 29.8)).toBe(30);
    expect(inline.isNext()).toBe(true);
  });

  it('need a pause in between, in which the event loop waits for input', () => {
    const { times, inline } = quickDisk();
    inline.run(() => {
      times.nowMs += 0.2;
    });
    for (let n = 0; n < 100; n++) {
      times.nowMs += 1;
      expect(inline.isNext()).toBe(false);
    }
    times.waitForInput(0.1);
    expect(inline.isNext()).toBe(true);
  });

  it('pass the error of a write on', () => {
    const { inline } = quickDisk();
    const run = (): number =>
      inline.run(() => {
        throw new Error('EIO');
      });
    expect(run).toThrow('EIO');
  });
});
