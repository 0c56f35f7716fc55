/** Bytes of another member that violate the protocol. The connection can't be used any more. */
export class StreamFormatError extends Error {
  override readonly name = 'StreamFormatError';
}
