import { randomBytes } from 'node:crypto';
import { statfsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { reserveFor } from '../../src/storage/disk-space.ts';
import { openStorage, type Storage } from '../../src/storage/open-storage.ts';
import { Entry } from '../../src/wire/gen/raftpb.ts';
import { canMount, mount, type Mount } from './mounts.ts';

const DISK_BYTES = 160 << 20;
const tmpfs = ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'tmpfs'];
const LOOK_EVERY_MS = 5;
/** The log's space ahead of its writer, and RocksDB's, are in the reserve too. */
const LEAST_FREE = reserveFor(DISK_BYTES) / 2;

const eventKey = (index: number): Buffer => {
  const key = Buffer.alloc(12);
  key.writeUInt32BE(index, 4);
  return key;
};

describe.skipIf(!canMount(...tmpfs)).each([8_000, 100_000, 1_000_000])(
  'values of %i bytes on a small disk (needs root)',
  (valueBytes) => {
    let disk: Mount;
    let storage: Storage;
    const failures: Error[] = [];
    const open = (): Promise<Storage> =>
      openStorage({
        dataDirectory: join(disk.path, 'data'),
        newMetadata: () => Buffer.from('metadata'),
        onFailure: (error) => failures.push(error),
      });
    const freeBytes = (): number => {
      const { bavail, bsize } = statfsSync(disk.path);
      return bavail * bsize;
    };
    beforeAll(async () => {
      disk = mount(...tmpfs);
      storage = await open();
    });
    afterAll(async () => {
      await storage.close();
      disk.unmount();
    });

    it('leave half of the reserve when all that is in memory is flushed', async () => {
      const data = randomBytes(valueBytes);
      let least = freeBytes();
      const look = (): void => void (least = Math.min(least, freeBytes()));
      const timer = setInterval(look, LOOK_EVERY_MS);
      for (let index = 1; storage.space.hasRoom && storage.log.room > valueBytes; index += 1) {
        await new Promise<void>((resolve) => {
          const entries = [Entry.create({ index, term: 1, data })];
          storage.log.append({ entries, hardState: undefined }, resolve);
        });
        const batch = storage.engine.batch();
        batch.put('event', eventKey(index), data);
        storage.engine.write(batch);
        look();
      }
      await storage.close();
      // RocksDB reads its log and flushes all of it.
      storage = await open();
      clearInterval(timer);
      look();
      expect(least).toBeGreaterThan(LEAST_FREE);
      expect(failures).toEqual([]);
    });
  },
);
