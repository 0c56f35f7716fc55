import { describe, expect, it } from 'vitest';
import { EngineFailedError, EngineFullError } from '../ports/engine.ts';
import { storeError } from './store-error.ts';

/** Messages of RocksDB on a disk that was made to fail. The errors of sst and MANIFEST come from background work. */
const texts: [string, typeof EngineFullError | typeof EngineFailedError][] = [
  [
    'IO error: No space left on device: While appending to file: /data/000004.log: No space left on device',
    EngineFullError,
  ],
  ['IO error: While appending to file: /data/000004.log: Disk quota exceeded', EngineFullError],
  ['IO error: While appending to file: /data/000010.sst: Disk quota exceeded', EngineFullError],
  ['IO error: While appending to file: /data/000004.log: Input/output error', EngineFailedError],
  ['IO error: While appending to file: /data/000010.sst: Input/output error', EngineFailedError],
  ['IO error: While open a file for appending: /data/000010.sst: Input/output error', EngineFailedError],
  ['IO error: While appending to file: /data/MANIFEST-000005: Input/output error', EngineFailedError],
  ['IO error: While appending to file: /data/000004.log: Read-only file system', EngineFailedError],
  ['Corruption: block checksum mismatch in /No space left on device/000010.sst', EngineFailedError],
];

describe('an error of the store', () => {
  it.each(texts)('%s', (text, Kind) => {
    const error = storeError(new Error(text));
    expect(error).toBeInstanceOf(Kind);
    expect(error.message).toBe(text);
  });
});
