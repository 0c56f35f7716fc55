/** The server cannot start. The message has the reason. */
export class StartError extends Error {
  override readonly name = 'StartError';
}
