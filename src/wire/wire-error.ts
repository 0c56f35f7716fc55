/** Bytes that are not a well-formed message. Client input causes it, so it is an answer and not a crash. */
export class WireError extends Error {
  override readonly name = 'WireError';
}
