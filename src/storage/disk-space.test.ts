import { existsSync, statfsSync } from 'node:fs';
import { describe, expect, it, vi } from 'vitest';
import { DiskSpace, isFirstUserNamespace, reserveFor, spaceOf } from './disk-space.ts';
import { segmentBytesFor } from './wal/segment-bytes.ts';

/** A file system that reports zeros for everything, as some network file systems do. */
const ZEROS = '/proc';
const hasZeros = existsSync(ZEROS) && statfsSync(ZEROS).blocks === 0;

describe('space on the disk', () => {
  it.skipIf(!hasZeros)('is unknown, and not used up, where the file system reports zeros', async () => {
    const space = await DiskSpace.watch(ZEROS);
    expect(space.hasRoom).toBe(true);
    space.logged(1 << 30);
    expect(space.hasRoom).toBe(true);
    expect(segmentBytesFor(space.capacity)).toBeGreaterThan(0);
    space.stop();
  });

  it('is unknown where it cannot be read', async () => {
    expect(await spaceOf('/no/such/directory')).toEqual({ capacity: 0, free: Number.MAX_SAFE_INTEGER });
  });

  it('is counted without what the store will flush', async () => {
    const space = await DiskSpace.watch('', () => Promise.resolve({ capacity: 160 << 20, free: 60 << 20 }));
    expect(space.hasRoom).toBe(true);
    space.expectFlushes(() => 16 << 20);
    await vi.waitFor(() => expect(space.hasRoom).toBe(false));
    expect(space.free).toBe(44 << 20);
    space.expectFlushes(() => 0);
    await vi.waitFor(() => expect(space.hasRoom).toBe(true));
    space.stop();
  });

  it('is counted without what is written while it is read, three times', async () => {
    let read = Promise.resolve({ capacity: 160 << 20, free: 100 << 20 });
    let finish: () => void = () => undefined;
    const reads = vi.fn(() => read);
    const space = await DiskSpace.watch('', reads);
    space.logged(1 << 20);
    expect(space.free).toBe(97 << 20);
    read = new Promise((resolve) => (finish = () => resolve({ capacity: 160 << 20, free: 90 << 20 })));
    await vi.waitFor(() => expect(reads).toHaveBeenCalledTimes(2));
    space.logged(2 << 20);
    finish();
    await vi.waitFor(() => expect(space.free).toBe(84 << 20));
    space.stop();
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
