/** The client left or the deadline passed. No response is needed any more. */
export class CallEndedError extends Error {
  constructor() {
    super('the call has ended');
  }
}
