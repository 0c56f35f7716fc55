import { EngineFailedError, EngineFullError } from '../ports/engine.ts';

/**
 * How RocksDB's messages tell of ENOSPC and EDQUOT, the one at the beginning, the other as the system's own text at
 * the end. The binding gives no status beyond the text.
 */
const full =
  /^IO error: No space left on device|: (No space left on device|Disk quota exceeded|Quota exceeded)$/;

/** What an error of RocksDB's writing or opening means for the one who runs the store. */
export function storeError(error: unknown): EngineFullError | EngineFailedError {
  const text = error instanceof Error ? error.message : String(error);
  const Kind = full.test(text) ? EngineFullError : EngineFailedError;
  return new Kind(text, { cause: error });
}
