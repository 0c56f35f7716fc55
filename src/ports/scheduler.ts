/** Time that passes and turns of the event loop, as the server sees them; a simulation has its own. */
export interface Scheduler {
  /** Runs `task` in this turn of the event loop, after the input that is there has been taken in. */
  soon(task: () => void): void;
  /** Runs `task` once in `delayMs` milliseconds. The function returned takes it back. */
  after(delayMs: number, task: () => void): () => void;
  /** Runs `task` every `intervalMs` milliseconds until taken back. */
  every(intervalMs: number, task: () => void): () => void;
}
