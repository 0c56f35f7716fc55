import { expect, it } from 'vitest';
import type { DiskDone, LogDisk, WritableFile } from '../../ports/log-disk.ts';
import { nodeDisk } from './node-disk.ts';
import { SegmentFile } from './segment-file.ts';
import { SegmentPreparer } from './segment-preparer.ts';

const KIB = 1024;

/** A disk whose files keep nothing but the lengths of their writes, and that has no pauses. */
function countingDisk(lengths: number[]): LogDisk {
  const file: WritableFile = {
    write: (bytes: Buffer, _position: number, done: DiskDone) => {
      lengths.push(bytes.length);
      queueMicrotask(() => done(null));
    },
    writeNow: () => undefined,
    syncNow: () => undefined,
    close: () => undefined,
  };
  return {
    ...nodeDisk,
    create: () => file,
    after: (_ms, task) => {
      queueMicrotask(task);
      return () => undefined;
    },
  };
}

/** @returns the lengths of the slices when the last write had so many bytes */
async function slicesAfter(lastWriteBytes: number, waitingBytes = 0): Promise<number[]> {
  const lengths: number[] = [];
  const disk = countingDisk(lengths);
  const preparer = new SegmentPreparer(
    { disk, directory: 'wal', sliceBytes: 128 * KIB, aheadBytes: 4096 * KIB },
    {
      onPrepared: () => undefined,
      onError: (error) => {
        throw error;
      },
      onDiskFull: () => undefined,
      isUrgent: () => false,
      waitingBytes: () => waitingBytes,
      lastWriteBytes: () => lastWriteBytes,
      offsetOf: () => 0,
    },
  );
  const segment = SegmentFile.create(disk, 'wal/0.tmp', 16_000_000);
  preparer.prepare(segment);
  while (segment.ready < 4096 * KIB + waitingBytes) await Promise.resolve();
  await preparer.stop();
  return lengths;
}

it('fills a segment in short slices for a writer of small records', async () => {
  expect(await slicesAfter(500)).toEqual(Array(32).fill(128 * KIB));
});

// A transaction of 1.2 MB was followed by ten writes of zeros, each of which waited for the disk.
it('fills a segment in slices as long as the last write, but no further ahead', async () => {
  expect(await slicesAfter(900 * KIB)).toEqual([900, 900, 900, 900, 496].map((size) => size * KIB));
});

it('fills at most a megabyte with one write', async () => {
  expect(await slicesAfter(10_000 * KIB)).toEqual(Array(4).fill(1024 * KIB));
});

it('fills as much as is waited for with one write', async () => {
  expect((await slicesAfter(0, 512 * KIB)).at(0)).toBe(512 * KIB);
});
