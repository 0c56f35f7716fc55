import type { Clock } from '../ports/clock.ts';
import type { Scheduler } from '../ports/scheduler.ts';

interface Task {
  readonly atMs: number;
  readonly order: number;
  run: (() => void) | undefined;
}

/** Start of the wall clock, so that ids derived from it are realistic. */
const EPOCH_MS = 1_700_000_000_000;

/** Await it to let pending promise callbacks run first. */
const SETTLED = Promise.resolve();

/** Simulated time. Tasks run in the order of their time; tasks with the same time run in the order of their creation. */
export class SimTime implements Clock {
  #nowMs = 0;
  #made = 0;
  /** A binary heap. */
  readonly #tasks: Task[] = [];

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

  /** Runs all tasks due up to `endMs`, and promise callbacks in between. */
  async runUntil(endMs: number): Promise<void> {
    for (;;) {
      const next = this.#tasks[0];
      if (next === undefined || next.atMs > endMs) break;
      this.#pop();
      this.#nowMs = next.atMs;
      if (next.run === undefined) continue;
      next.run();
      await SETTLED;
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

/** The scheduler of one process: its tasks end with it. */
export function schedulerOf(time: SimTime, life: Life): Scheduler {
  const whileAlive = (task: () => void) => (): void => {
    if (!life.isOver) task();
  };
  return {
    soon: (task) => {
      time.after(0, whileAlive(task));
    },
    after: (delayMs, task) => time.after(delayMs, whileAlive(task)),
    every: (intervalMs, task) => {
      let cancel: () => void = () => undefined;
      const next = (): void => {
        cancel = time.after(
          intervalMs,
          whileAlive(() => {
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
