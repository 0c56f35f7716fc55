import type { Steps } from '../lib/steps.ts';
import type { Scheduler } from '../ports/scheduler.ts';

/** Steps of about a millisecond that are made at once. */
const STEPS_PER_TURN = 3;

export interface Outcome<Result> {
  /** Nobody waits for the result any more; the work is dropped. */
  readonly isOver: () => boolean;
  /** What it throws goes to `failed` as well. */
  readonly done: (result: Result) => void;
  readonly failed: (error: unknown) => void;
}

/** Does a client's work at once where that is little, and else in parts, between which everybody else is served. */
export function inTurns<Result>(scheduler: Scheduler, steps: Steps<Result>, outcome: Outcome<Result>): void {
  const turn = (): void => {
    try {
      if (outcome.isOver()) {
        steps.return(undefined as Result);
        return;
      }
      for (let made = 0; made < STEPS_PER_TURN; made += 1) {
        const step = steps.next();
        if (step.done !== true) continue;
        outcome.done(step.value);
        return;
      }
    } catch (error) {
      outcome.failed(error);
      return;
    }
    scheduler.soon(turn);
  };
  turn();
}

/** The same for work whose result a promise gives. It is not dropped. */
export function promiseInTurns<Result>(scheduler: Scheduler, steps: Steps<Result>): Promise<Result> {
  return new Promise((resolve, reject) => {
    inTurns(scheduler, steps, { isOver: () => false, done: resolve, failed: reject });
  });
}
