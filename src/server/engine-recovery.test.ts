import { expect, it } from 'vitest';
import type { Steps } from '../lib/steps.ts';
import type { Scheduler } from '../ports/scheduler.ts';
import { MemoryEngine } from '../storage/memory-engine.ts';
import { EngineRecovery } from './engine-recovery.ts';

/** Turns of an event loop that a test runs one by one. */
class Turns implements Scheduler {
  readonly #tasks: (() => void)[] = [];

  soon(task: () => void): void {
    this.#tasks.push(task);
  }

  after(): () => void {
    return () => undefined;
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
it('reads its state anew over several turns, in which requests wait', async () => {
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
