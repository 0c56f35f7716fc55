import { afterEach, describe, expect, it } from 'vitest';
import type { LogFields, Logger } from '../ports/logger.ts';
import { TurnWatch } from './turn-watch.ts';

interface Line {
  readonly message: string;
  readonly fields: LogFields | undefined;
}

function logInto(lines: Line[]): Logger {
  const keep = (message: string, fields?: LogFields): void => void lines.push({ message, fields });
  return { debug: keep, info: keep, warn: keep, error: keep };
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Uses a number of milliseconds of processor time. */
function burnProcessorTime(ms: number): void {
  const start = process.cpuUsage();
  let spent = 0;
  while (spent < ms) {
    const { user, system } = process.cpuUsage(start);
    spent = (user + system) / 1e3;
  }
}

describe('TurnWatch', () => {
  const lines: Line[] = [];
  let watch: TurnWatch | undefined;

  afterEach(() => {
    watch?.stop();
    lines.length = 0;
  });

  async function start(boundMs: number): Promise<void> {
    watch = await TurnWatch.start(boundMs, logInto(lines));
    await nextTurn();
    await nextTurn();
  }

  it('reports a turn that used more processor time than the limit, with its stack', async () => {
    await start(50);
    burnProcessorTime(300);
    await expect.poll(() => lines.length, { timeout: 10_000 }).toBe(1);
    expect(lines[0]?.message).toBe('turn of the event loop over its bound');
    expect(lines[0]?.fields?.['processor-ms']).toBeGreaterThan(100);
    expect(lines[0]?.fields?.['stack']).toContain('burnProcessorTime');
  });

  it('ignores much work in short turns, and a turn that only waits', async () => {
    await start(100);
    for (let turn = 0; turn < 30; turn += 1) {
      burnProcessorTime(10);
      await nextTurn();
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 400);
    await nextTurn();
    // If those had been reported, they would be before the report of this long turn.
    burnProcessorTime(400);
    await expect.poll(() => lines.length, { timeout: 10_000 }).toBeGreaterThan(0);
    expect(lines).toHaveLength(1);
  });
});
