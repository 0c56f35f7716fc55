import type { Steps } from '../lib/steps.ts';
import type { Scheduler } from '../ports/scheduler.ts';

type Turns = Pick<Scheduler, 'soon'>;

export interface Outcome<Result> {
  /** Whether the result is no longer needed. The rest of the work is then skipped. */
  readonly isOver: () => boolean;
  /** An error that it throws goes to `failed`. */
  readonly done: (result: Result) => void;
  readonly failed: (error: unknown) => void;
}

/** Runs the work of a client: the first step at once, each further one in a later turn of the event loop. */
export function runYielding<Result>(turns: Turns, steps: Steps<Result>, outcome: Outcome<Result>): void {
  const turn = (): void => {
    try {
      if (outcome.isOver()) {
        steps.return(undefined as Result);
        return;
      }
      const step = steps.next();
      if (step.done === true) {
        outcome.done(step.value);
        return;
      }
    } catch (error) {
      outcome.failed(error);
      return;
    }
    turns.soon(turn);
  };
  turn();
}

/** As `runYielding`, but returns a promise, and the work always runs to its end. */
export function runYieldingToEnd<Result>(turns: Turns, steps: Steps<Result>): Promise<Result> {
  return new Promise((resolve, reject) => {
    runYielding(turns, steps, { isOver: () => false, done: resolve, failed: reject });
  });
}
