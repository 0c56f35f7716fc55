/** The server cannot start; the message says why. */
export class StartError extends Error {
  override readonly name = 'StartError';
}
