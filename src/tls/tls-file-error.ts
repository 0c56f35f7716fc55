/** A file of certificates, keys or revocations that cannot be used; the message names the file and says why. */
export class TlsFileError extends Error {
  override readonly name = 'TlsFileError';
  readonly file: string;

  constructor(file: string, reason: string) {
    super(`${file}: ${reason}`);
    this.file = file;
  }
}

/** What went wrong, without the path that a `TlsFileError` puts before it. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error ? error.code : undefined;
  if (code === 'ENOENT') return 'no such file or directory';
  if (code === 'EACCES') return 'permission denied';
  if (code === 'EISDIR') return 'is a directory';
  return error.message;
}
