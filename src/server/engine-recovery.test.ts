import { expect, it } from 'vitest';
import type { Steps } from '../lib/steps.ts';
import type { Scheduler } from '../ports/scheduler.ts';
import { MemoryEngine } from '../storage/memory-engine.ts';
import { EngineRecovery } from './engine-recovery.ts';

/** Turns of an event loop that a test runs one by one. */
class Turns implements Scheduler {
  readonly #tasks: (() => void)[] = [];
  readonly #later: (() => void)[] = [];

  soon(task: () => void): void {
    this.#tasks.push(task);
  }

  after(_ms: number, task: () => void): () => void {
    this.#later.push(task);
    return () => undefined;
  }

  /** Runs the tasks for later, and waits for the promises that they begin. */
  async runLater(): Promise<void> {
    for (const task of this.#later.splice(0)) task();
    await new Promise(setImmediate);
  }

  every(): () => void {
    return () => undefined;
  }

  run(): void {
    for (const task of this.#tasks.splice(0)) task();
  }
}

const logger = { debug: ignore, info: ignore, warn: ignore, error: ignore };

function ignore(): void {}

// With 500,000 leases it took a second in one turn, in which a member that had got a snapshot heard no heartbeat.
it('reads its state again over several turns, in which requests wait', async () => {
  const turns = new Turns();
  const seen: string[] = [];
  const recovery = new EngineRecovery({
    engine: new MemoryEngine(),
    space: { hasRoom: true },
    scheduler: turns,
    logger,
    suspend: () => seen.push('suspended'),
    reload: function* (): Steps<void> {
      for (const step of ['first', 'second']) {
        seen.push(step);
        yield;
      }
      seen.push('last');
    },
    failed: (error) => {
      throw error;
    },
  });
  const done = recovery.whileClosed(() => Promise.resolve());
  await new Promise(setImmediate);
  recovery.whenOpen(() => seen.push('request'));
  expect(seen).toEqual(['suspended', 'first']);
  turns.run();
  expect(seen).toEqual(['suspended', 'first', 'second']);
  expect(recovery.isReopening).toBe(true);
  turns.run();
  await done;
  expect(seen).toEqual(['suspended', 'first', 'second', 'last', 'request']);
  expect(recovery.isReopening).toBe(false);
});

// With a used-up quota the store stayed closed between the attempts to open it, and all reads waited.
it('keeps the store open for reads until its disk takes writes again', async () => {
  const turns = new Turns();
  const engine = new MemoryEngine();
  let hasSpace = false;
  let reopened = 0;
  engine.canGrow = () => Promise.resolve(hasSpace);
  engine.reopen = () => {
    reopened += 1;
    return Promise.resolve();
  };
  const recovery = new EngineRecovery({
    engine,
    logger,
    scheduler: turns,
    space: { hasRoom: true },
    suspend: ignore,
    reload: function* (): Steps<void> {
      yield;
    },
    failed: (error) => {
      throw error;
    },
  });
  recovery.begin();
  for (let attempt = 0; attempt < 3; attempt += 1) {
    await turns.runLater();
    expect([recovery.isRecovering, recovery.isReopening, reopened]).toEqual([true, false, 0]);
  }
  hasSpace = true;
  await turns.runLater();
  expect(reopened).toBe(1);
  turns.run();
  await new Promise(setImmediate);
  expect([recovery.isRecovering, recovery.isReopening]).toEqual([false, false]);
});
