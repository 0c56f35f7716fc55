/**
 * Work that may be spread over turns of the event loop: it yields after each part that takes a millisecond or so, and
 * whoever runs it decides when to go on.
 */
export type Steps<Result> = Generator<void, Result>;

/** Does it all at once, where it is known to be short. */
export function runSteps<Result>(steps: Steps<Result>): Result {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}
