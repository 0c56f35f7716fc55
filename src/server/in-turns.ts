import type { Steps } from '../lib/steps.ts';
import type { Scheduler } from '../ports/scheduler.ts';

type Turns = Pick<Scheduler, 'soon'>;

export interface Outcome<Result> {
  /** Nobody waits for the result any more; the work is dropped. */
  readonly isOver: () => boolean;
  /** What it throws goes to `failed` as well. */
  readonly done: (result: Result) => void;
  readonly failed: (error: unknown) => void;
}

/** Does a client's work at once where that is one step, and else step by step, as the turns allow. */
export function inTurns<Result>(turns: Turns, steps: Steps<Result>, outcome: Outcome<Result>): void {
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

/** The same for work whose result a promise gives. It is not dropped. */
export function promiseInTurns<Result>(turns: Turns, steps: Steps<Result>): Promise<Result> {
  return new Promise((resolve, reject) => {
    inTurns(turns, steps, { isOver: () => false, done: resolve, failed: reject });
  });
}
