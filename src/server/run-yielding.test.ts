import { describe, expect, it } from 'vitest';
import type { Steps } from '../lib/steps.ts';
import { runYielding, runYieldingToEnd } from './run-yielding.ts';

/** Turns of an event loop that a test runs one by one. */
class Turns {
  readonly #tasks: (() => void)[] = [];

  soon(task: () => void): void {
    this.#tasks.push(task);
  }

  get waiting(): number {
    return this.#tasks.length;
  }

  run(): void {
    for (const task of this.#tasks.splice(0)) task();
  }
}

function* counting(seen: string[], count: number): Steps<string> {
  try {
    for (let at = 1; at <= count; at += 1) {
      seen.push(`step ${at}`);
      yield;
    }
    return 'result';
  } finally {
    seen.push('closed');
  }
}

describe('work in turns', () => {
  const begin = (steps: Steps<string>, seen: string[], isOver: () => boolean = () => false): Turns => {
    const turns = new Turns();
    runYielding(turns, steps, {
      isOver,
      done: (result) => void seen.push(`done: ${result}`),
      failed: (error) => void seen.push(`failed: ${String(error)}`),
    });
    return turns;
  };

  it('takes the first step at once, and each further one in a turn of its own', () => {
    const seen: string[] = [];
    const turns = begin(counting(seen, 2), seen);
    expect(seen).toEqual(['step 1']);
    turns.run();
    expect(seen).toEqual(['step 1', 'step 2']);
    turns.run();
    expect(seen).toEqual(['step 1', 'step 2', 'closed', 'done: result']);
    expect(turns.waiting).toBe(0);
  });

  it('is done at once if it has one step', () => {
    const seen: string[] = [];
    expect(begin(counting(seen, 0), seen).waiting).toBe(0);
    expect(seen).toEqual(['closed', 'done: result']);
  });

  it('ends when its result is no longer needed, and frees what it holds', () => {
    const seen: string[] = [];
    let isOver = false;
    const turns = begin(counting(seen, 5), seen, () => isOver);
    turns.run();
    isOver = true;
    turns.run();
    expect(seen).toEqual(['step 1', 'step 2', 'closed']);
    expect(turns.waiting).toBe(0);
  });

  it('takes no step if its result was never needed', () => {
    const seen: string[] = [];
    begin(counting(seen, 5), seen, () => true);
    expect(seen).toEqual([]);
  });

  it('reports an error of a step, and one of handling the result', () => {
    const seen: string[] = [];
    const turns = begin(
      (function* (): Steps<string> {
        yield;
        throw new Error('broken');
      })(),
      seen,
    );
    turns.run();
    expect(seen).toEqual(['failed: Error: broken']);
    expect(turns.waiting).toBe(0);
    const errors: unknown[] = [];
    runYielding(new Turns(), counting([], 0), {
      isOver: () => false,
      done: () => {
        throw new Error('not sent');
      },
      failed: (error) => void errors.push(error),
    });
    expect(errors.map(String)).toEqual(['Error: not sent']);
  });
});

it('a promise of work in turns has its result or its error', async () => {
  const turns = new Turns();
  const result = runYieldingToEnd(turns, counting([], 1));
  turns.run();
  expect(await result).toBe('result');
  const failing = runYieldingToEnd(
    turns,
    (function* (): Steps<string> {
      throw new Error('broken');
    })(),
  );
  await expect(failing).rejects.toThrow('broken');
});
