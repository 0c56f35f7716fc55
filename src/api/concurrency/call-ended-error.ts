/** The client went away, or its time was up: nobody waits for an answer any more. */
export class CallEndedError extends Error {
  constructor() {
    super('the call has ended');
  }
}
