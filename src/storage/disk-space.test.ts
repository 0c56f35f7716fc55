import { existsSync, statfsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { DiskSpace, isFirstUserNamespace, reserveFor, spaceOf } from './disk-space.ts';
import { segmentBytesFor } from './wal/segment-bytes.ts';

/** A file system that reports zeros for everything, as some network file systems do. */
const ZEROS = '/proc';
const hasZeros = existsSync(ZEROS) && statfsSync(ZEROS).blocks === 0;

describe('space on the disk', () => {
  it.skipIf(!hasZeros)('is unknown, and not used up, where the file system reports zeros', async () => {
    const space = await DiskSpace.watch(ZEROS);
    expect(space.hasRoom).toBe(true);
    space.took(1 << 30);
    expect(space.hasRoom).toBe(true);
    expect(segmentBytesFor(space.capacity)).toBeGreaterThan(0);
    space.stop();
  });

  it('is unknown where it cannot be read', async () => {
    expect(await spaceOf('/no/such/directory')).toEqual({ capacity: 0, free: Number.MAX_SAFE_INTEGER });
  });

  it('is kept in reserve by the size of the disk', () => {
    const gibibyte = 2 ** 30;
    expect(reserveFor(0)).toBe(0);
    expect(reserveFor(64 << 20)).toBe(32 << 20);
    expect(reserveFor(gibibyte)).toBe(48 << 20);
    expect(reserveFor(2 * gibibyte)).toBe(64 << 20);
    expect(reserveFor(100 * gibibyte)).toBe(128 << 20);
  });

  it('includes the blocks kept for root only where root is that of the machine', () => {
    expect(isFirstUserNamespace('         0          0 4294967295\n')).toBe(true);
    expect(isFirstUserNamespace('         0     100000      65536\n')).toBe(false);
    expect(isFirstUserNamespace('         0       1000          1\n         1     100000      65536\n')).toBe(
      false,
    );
  });
});
