import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { importSnapshot } from './import-snapshot.ts';
import { revisionKey } from './schema.ts';
import { bucket, database } from './testing/databases.ts';

const root = mkdtempSync(join(tmpdir(), 'keystead-import-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let made = 0;
const fresh = (): string => join(root, `${made++}`);

describe('a file that cannot be imported', () => {
  const attempt = async (file: Buffer): Promise<void> => {
    const path = fresh();
    writeFileSync(`${path}.db`, file);
    try {
      await importSnapshot({ file: `${path}.db`, directory: path });
    } finally {
      expect(existsSync(path)).toBe(false);
    }
  };
  const revision = (main: number): string => revisionKey(main, 0, false).toString('latin1');

  it('is refused with the reason, and leaves nothing behind', async () => {
    await expect(attempt(Buffer.alloc(9000))).rejects.toThrow('not the beginning of a bbolt database');
    await expect(attempt(database({ meta: bucket([]) }))).rejects.toThrow('there is no bucket "key"');
    const later = { key: bucket([]), meta: bucket([['storageVersion', Buffer.from('3.8.0')]]) };
    await expect(attempt(database(later))).rejects.toThrow(
      'its schema is of version 3.8.0, later than 3.7.0',
    );
    await expect(attempt(database({ key: bucket([['x', Buffer.alloc(1)]]) }))).rejects.toThrow(
      'bucket "key": 78 is no revision',
    );
    await expect(
      attempt(database({ key: bucket([[revision(2), Buffer.from([0x0a, 0x7f])]]) })),
    ).rejects.toThrow('bucket "key": the change at 0000000000000002');
    const wrongMark = { key: bucket([]), meta: bucket([['finishedCompactRev', Buffer.from('x')]]) };
    await expect(attempt(database(wrongMark))).rejects.toThrow('finishedCompactRev is no revision: 78');
    const file = database({ key: bucket([]) });
    await expect(attempt(Buffer.concat([file, Buffer.alloc(32)]))).rejects.toThrow(
      'does not have the SHA-256 that stands at its end',
    );
    await expect(attempt(file.subarray(0, file.length - 512))).rejects.toThrow('the file is cut off');
  });
});
