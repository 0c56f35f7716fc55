/**
 * Work that can be split over turns of the event loop. It yields after each part of about a millisecond. The caller
 * decides when to continue.
 */
export type Steps<Result> = Generator<void, Result>;

/** Runs all steps at once, if they are known to be short. */
export function runSteps<Result>(steps: Steps<Result>): Result {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}
