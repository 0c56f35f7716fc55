/** Bytes of another member that are not what the protocol has there; the connection is of no more use. */
export class StreamFormatError extends Error {
  override readonly name = 'StreamFormatError';
}
