import { reasonOf } from '../lib/text.ts';

/** A file of certificates, keys or revocations cannot be used. The message names the file and the reason. */
export class TlsFileError extends Error {
  override readonly name = 'TlsFileError';
  readonly file: string;

  constructor(file: string, reason: string) {
    super(`${file}: ${reason}`);
    this.file = file;
  }
}

/** The reason, without the path that a `TlsFileError` starts with. */
export function fileReason(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOENT') return 'no such file or directory';
  if (code === 'EACCES') return 'permission denied';
  if (code === 'EISDIR') return 'is a directory';
  return reasonOf(error);
}
