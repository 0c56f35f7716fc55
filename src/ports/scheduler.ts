/** Timers and turns of the event loop for the server. A simulation has its own. */
export interface Scheduler {
  /** Runs `task` in this turn of the event loop, after the available input was read. */
  soon(task: () => void): void;
  /** Runs `task` once, after `delayMs` milliseconds. The returned function cancels it. */
  after(delayMs: number, task: () => void): () => void;
  /** Runs `task` every `intervalMs` milliseconds until the returned function is called. */
  every(intervalMs: number, task: () => void): () => void;
}
