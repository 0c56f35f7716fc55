/** A file is no bbolt database, or a damaged one. The message names the page. */
export class BoltFormatError extends Error {
  override readonly name = 'BoltFormatError';
}
