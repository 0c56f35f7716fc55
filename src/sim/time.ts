import type { Clock } from '../ports/clock.ts';
import type { Scheduler } from '../ports/scheduler.ts';

interface Task {
  readonly atMs: number;
  readonly order: number;
  run: (() => void) | undefined;
}

/** Start of the wall clock, so that ids derived from it are realistic. */
const EPOCH_MS = 1_700_000_000_000;

/** Resolves once everything that resolved promises lead to has run, as before each turn of a real event loop. */
function settled(): Promise<void> {
  return new Promise((resolve) => {
    process.nextTick(resolve);
  });
}

/** Simulated time. Tasks run in the order of their time; tasks with the same time run in the order of their creation. */
export class SimTime implements Clock {
  #nowMs = 0;
  #made = 0;
  /** A binary heap. */
  readonly #tasks: Task[] = [];
  readonly #held = new Set<Promise<void>>();

  now(): number {
    return this.#nowMs;
  }

  wall(): number {
    return EPOCH_MS + this.#nowMs;
  }

  /** Runs `run` once after `delayMs`. Returns a function that cancels it. */
  after(delayMs: number, run: () => void): () => void {
    const task: Task = { atMs: this.#nowMs + delayMs, order: this.#made++, run };
    this.#push(task);
    return () => {
      task.run = undefined;
    };
  }

  /** Time stands still until something real has ended, as an operation of a real store. */
  hold(task: Promise<void>): void {
    const held = task.finally(() => this.#held.delete(held));
    this.#held.add(held);
  }

  /** Runs all tasks due up to `endMs`, and promise callbacks in between. */
  async runUntil(endMs: number): Promise<void> {
    for (;;) {
      while (this.#held.size > 0) {
        await Promise.all(this.#held);
        await settled();
      }
      const next = this.#tasks[0];
      if (next === undefined || next.atMs > endMs) break;
      this.#pop();
      this.#nowMs = next.atMs;
      if (next.run === undefined) continue;
      next.run();
      await settled();
    }
    this.#nowMs = endMs;
  }

  #push(task: Task): void {
    const tasks = this.#tasks;
    let at = tasks.length;
    tasks.push(task);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = tasks[parent];
      if (above === undefined || !isBefore(task, above)) break;
      tasks[at] = above;
      at = parent;
    }
    tasks[at] = task;
  }

  #pop(): void {
    const tasks = this.#tasks;
    const last = tasks.pop();
    if (last === undefined || tasks.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      const left = tasks[child];
      if (left === undefined) break;
      const right = tasks[child + 1];
      let least = left;
      if (right !== undefined && isBefore(right, left)) {
        child += 1;
        least = right;
      }
      if (!isBefore(least, last)) break;
      tasks[at] = least;
      at = child;
    }
    tasks[at] = last;
  }
}

function isBefore(a: Task, b: Task): boolean {
  return a.atMs === b.atMs ? a.order < b.order : a.atMs < b.atMs;
}

/** Whether a process still runs. */
export interface Life {
  isOver: boolean;
}

/**
 * A task of a process. It does not run once the process is over. Where it ended the process itself, as on a failed
 * disk, what it throws afterwards is no matter: a real process exits at that point.
 */
export function whileAlive(life: Life, task: () => void): () => void {
  const hasEnded = (): boolean => life.isOver;
  return () => {
    if (hasEnded()) return;
    try {
      task();
    } catch (error) {
      if (!hasEnded()) throw error;
    }
  };
}

/** The scheduler of one process: its tasks end with it. */
export function schedulerOf(time: SimTime, life: Life): Scheduler {
  return {
    soon: (task) => {
      time.after(0, whileAlive(life, task));
    },
    after: (delayMs, task) => time.after(delayMs, whileAlive(life, task)),
    every: (intervalMs, task) => {
      let cancel: () => void = () => undefined;
      const next = (): void => {
        cancel = time.after(
          intervalMs,
          whileAlive(life, () => {
            next();
            task();
          }),
        );
      };
      next();
      return () => cancel();
    },
  };
}
