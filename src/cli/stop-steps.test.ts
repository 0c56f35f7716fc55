import { describe, expect, it } from 'vitest';
import type { LogFields, Logger } from '../ports/logger.ts';
import { runStopSteps } from './stop-steps.ts';

class Lines implements Logger {
  readonly lines: [string, LogFields | undefined][] = [];
  debug(): void {
    throw new Error('nothing is said at this level');
  }
  info(): void {
    throw new Error('nothing is said at this level');
  }
  error(): void {
    throw new Error('nothing is said at this level');
  }
  warn(message: string, fields?: LogFields): void {
    this.lines.push([message, fields]);
  }
}

describe('shutdown steps', () => {
  it('run one after another without log lines', async () => {
    const logger = new Lines();
    const ran: string[] = [];
    const step = (name: string) => ({
      name,
      limitMs: 10_000,
      run: async () => {
        await Promise.resolve();
        ran.push(name);
      },
    });
    await runStopSteps(
      [step('a'), { name: 'b', limitMs: 1, run: () => void ran.push('b') }, step('c')],
      logger,
    );
    expect(ran).toEqual(['a', 'b', 'c']);
    expect(logger.lines).toEqual([]);
  });

  it('are logged and skipped when they hang or fail', async () => {
    const logger = new Lines();
    const ran: string[] = [];
    const failing = new Error('no');
    const fail = (): void => {
      throw failing;
    };
    await runStopSteps(
      [
        { name: 'never', limitMs: 5, run: () => new Promise(() => undefined) },
        { name: 'throws', limitMs: 1_000, run: fail },
        { name: 'rejects', limitMs: 1_000, run: () => Promise.reject(failing) },
        { name: 'last', limitMs: 1_000, run: () => void ran.push('last') },
      ],
      logger,
    );
    expect(ran).toEqual(['last']);
    expect(logger.lines).toEqual([
      ['a shutdown step timed out; continuing without it', { step: 'never', 'limit-ms': 5 }],
      ['a shutdown step failed', { step: 'throws', error: 'no' }],
      ['a shutdown step failed', { step: 'rejects', error: 'no' }],
    ]);
  });

  it('may fail after they were skipped', async () => {
    const logger = new Lines();
    let reject: (error: Error) => void = () => undefined;
    const late = new Promise<void>((_, refuse) => {
      reject = refuse;
    });
    await runStopSteps([{ name: 'late', limitMs: 1, run: () => late }], logger);
    reject(new Error('too late to matter'));
    await new Promise((resolve) => setImmediate(resolve));
    expect(logger.lines).toHaveLength(1);
  });
});
