/** The log holds something its writer never wrote, at a place a crash can't explain. Nothing was changed. */
export class CorruptLogError extends Error {
  override readonly name = 'CorruptLogError';
  readonly file: string;
  readonly offset: number;

  constructor(file: string, offset: number, reason: string) {
    super(`write-ahead log is corrupt: ${file} at offset ${offset}: ${reason}`);
    this.file = file;
    this.offset = offset;
  }
}
