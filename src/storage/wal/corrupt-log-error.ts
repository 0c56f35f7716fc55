/** The log holds data that its writer never wrote, where a crash can't be the cause. Nothing was changed. */
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
