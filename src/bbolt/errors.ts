/** A file is not a bbolt database, or it is damaged. The message names the page. */
export class BoltFormatError extends Error {
  override readonly name = 'BoltFormatError';
}
