import { reasonOf } from '../lib/text.ts';
import { EngineFailedError, EngineFullError } from '../ports/engine.ts';

/**
 * Detects ENOSPC and EDQUOT in RocksDB's messages: ENOSPC at the beginning, EDQUOT as the system's text at the end. The
 * binding returns no status besides the text.
 */
const full =
  /^IO error: No space left on device|: (No space left on device|Disk quota exceeded|Quota exceeded)$/;

/** Maps an error of RocksDB's writing or opening to the error for the caller. */
export function storeError(error: unknown): EngineFullError | EngineFailedError {
  const text = reasonOf(error);
  const Kind = full.test(text) ? EngineFullError : EngineFailedError;
  return new Kind(text, { cause: error });
}
