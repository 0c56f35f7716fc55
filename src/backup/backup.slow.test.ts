import { randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { readCatalog } from './catalog.ts';
import { BackupKey } from './encryption.ts';
import { FolderPlace } from './folder-place.ts';
import type { Manifest } from './manifest.ts';
import { prunePlace } from './prune.ts';
import { takeBackup } from './take.ts';
import { fresh, HistorySource } from './testing/sources.ts';
import { verifyBackup } from './verify.ts';

const NOW = new Date('2026-11-22T10:00:00Z');

interface Setup {
  readonly folder: string;
  readonly place: FolderPlace;
  readonly source: HistorySource;
  readonly temporary: string;
  readonly take: (changes?: Partial<Parameters<typeof takeBackup>[0]>) => Promise<Manifest>;
  readonly verify: (manifest: Manifest, key?: BackupKey) => Promise<unknown>;
}

async function setUp(key?: BackupKey): Promise<Setup> {
  const folder = fresh();
  const temporary = fresh();
  const place = new FolderPlace(folder);
  const source = await HistorySource.make(3);
  const common = { place, key, temporary, now: () => NOW };
  return {
    folder,
    place,
    source,
    temporary,
    take: (changes = {}) => takeBackup({ ...common, source, keysteadVersion: '1', ...changes }),
    verify: (manifest, other = key) => verifyBackup(manifest, { ...common, key: other }),
  };
}

describe('a backup', () => {
  it('is listed with its manifest, proven by a trial restore', async () => {
    const { take, place, source, folder, temporary } = await setUp();
    const manifest = await take();
    expect(manifest).toMatchObject({
      sequence: 1,
      clusterId: 'c1',
      memberId: 'ab',
      revision: source.history.store.revision,
      compactRevision: -1,
      time: NOW.toISOString(),
      verifiedAt: NOW.toISOString(),
    });
    expect((await readCatalog(place)).entries).toEqual([{ manifest, fault: undefined }]);
    expect(readdirSync(folder).sort()).toEqual([manifest.object, `${manifest.id}.json`]);
    expect(readdirSync(temporary)).toEqual([]);
    source.history.run(20);
    expect(await take()).toMatchObject({ sequence: 2 });
  });

  it('is taken again if the store is compacted before its HashKV is known', async () => {
    const { take, source } = await setUp();
    const { history } = source;
    let saves = 0;
    source.afterSave = () => {
      saves += 1;
      if (saves === 1) history.compact(history.store.revision - 5);
      // Now its revision itself is compacted.
      if (saves === 2) {
        history.run(5);
        history.compact(history.store.revision);
      }
    };
    const { compactRevision, revision } = await take();
    expect(saves).toBe(3);
    expect(compactRevision).toBe(revision);
  });

  it('is not taken if the store is compacted all the time', async () => {
    const { take, source, place } = await setUp();
    source.afterSave = () => {
      source.history.run(3);
      source.history.compact(source.history.store.revision - 1);
    };
    await expect(take()).rejects.toThrow('the store was compacted during each of 4 snapshots');
    expect((await readCatalog(place)).entries).toEqual([]);
  });

  it('of a member whose HashKV is not that of its snapshot is marked as damaged', async () => {
    const { take, source, place } = await setUp();
    const right = source.hashKv.bind(source);
    source.hashKv = async (revision) => {
      const answer = await right(revision);
      return answer && { ...answer, hash: answer.hash ^ 1 };
    };
    await expect(take()).rejects.toThrow('its HashKV at revision');
    const { entries } = await readCatalog(place);
    expect(entries.map(({ fault }) => fault)).toEqual([expect.stringContaining('its HashKV at revision')]);
  });

  it('that was interrupted at any point is not listed, and removed after a day', async () => {
    const { take, place, folder } = await setUp();
    let steps = 0;
    await take({ mayContinue: () => void (steps += 1) });
    for (let stopAt = 1; stopAt <= steps; stopAt += 1) {
      let step = 0;
      const mayContinue = (): void => {
        step += 1;
        if (step === stopAt) throw new Error('no leader any more');
      };
      await expect(take({ mayContinue })).rejects.toThrow('no leader any more');
    }
    const { entries, leftovers } = await readCatalog(place);
    expect(entries.length).toBe(1);
    expect(readdirSync(folder).filter((name) => name.endsWith('.part'))).toEqual([]);
    expect(leftovers.length).toBe(1);
    const rules = { keepLast: undefined, keepDays: undefined };
    expect(await prunePlace(place, rules, Date.now())).toEqual([]);
    expect(await prunePlace(place, rules, Date.now() + 2 * 86_400_000)).toEqual(
      leftovers.map(({ name }) => name),
    );
    expect(readdirSync(folder).length).toBe(2);
  });

  it('has no file under its name before all bytes are written', async () => {
    const { place, folder } = await setUp();
    const bytes = Readable.from(
      (function* () {
        yield Buffer.from('first');
        expect(readdirSync(folder)).toEqual([expect.stringMatching(/^object\.[0-9a-f]{8}\.part$/)]);
        throw new Error('the source failed');
      })(),
    );
    await expect(place.put('object', bytes)).rejects.toThrow('the source failed');
    expect(readdirSync(folder)).toEqual([]);
  });

  it('with a key can be read only with that key', async () => {
    const key = new BackupKey(randomBytes(32));
    const { take, verify, place, folder } = await setUp(key);
    const manifest = await take();
    expect(manifest).toMatchObject({ encryption: { algorithm: 'AES-256-GCM', keyId: key.id } });
    expect(readFileSync(join(folder, manifest.object)).includes('key/1')).toBe(false);
    const other = new BackupKey(randomBytes(32));
    await expect(verify(manifest, other)).rejects.toThrow(
      `it is encrypted with the key ${key.id}, but the key file has the key ${other.id}`,
    );
    // A wrong key says nothing about the backup.
    expect((await readCatalog(place)).entries).toEqual([{ manifest, fault: undefined }]);
  });

  it.each([false, true])(
    'that is damaged or missing is found and named (encrypted: %s)',
    async (isEncrypted) => {
      const { take, verify, place, folder } = await setUp(
        isEncrypted ? new BackupKey(randomBytes(32)) : undefined,
      );
      const manifest = await take();
      const path = join(folder, manifest.object);
      const good = readFileSync(path);
      for (const at of [3, 5000, good.length - 40, good.length - 1]) {
        const bad = Buffer.from(good);
        bad[at] = (bad[at] ?? 0) ^ 0x10;
        writeFileSync(path, bad);
        await expect(verify(manifest)).rejects.toThrow(`its object ${manifest.object}`);
        const [entry] = (await readCatalog(place)).entries;
        expect(entry?.fault).toContain(manifest.object);
      }
      writeFileSync(path, good);
      expect(await verify(manifest)).toMatchObject({ keys: expect.any(Number) as number });
      expect((await readCatalog(place)).entries[0]?.fault).toBeUndefined();
      truncateSync(path, good.length - 32);
      await expect(verify(manifest)).rejects.toThrow(
        isEncrypted ? 'chunk' : `${good.length - 32} bytes instead of`,
      );
      rmSync(path);
      await expect(verify(manifest)).rejects.toThrow(`its object ${manifest.object} is missing`);
      expect((await readCatalog(place)).entries[0]?.fault).toBe(`its object ${manifest.object} is missing`);
    },
  );

  it('with a manifest that cannot be read is named', async () => {
    const { take, place, folder } = await setUp();
    const { id } = await take();
    const path = join(folder, `${id}.json`);
    const manifest = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    const reasonFor = async (text: string): Promise<string | undefined> => {
      writeFileSync(path, text);
      return (await readCatalog(place)).unreadable[0]?.reason;
    };
    expect(await reasonFor('{')).toBe('it is not JSON');
    expect(await reasonFor('null')).toBe('it is not an object');
    expect(await reasonFor(' '.repeat(70_000))).toContain('more than 65536 bytes');
    for (const [field, value] of [
      ['object', '../etcd.db'],
      ['bytes', -1],
      ['hashKv', '1'],
      ['id', 'x'],
    ] as const)
      expect(await reasonFor(JSON.stringify({ ...manifest, [field]: value }))).toBe(
        `its field ${field} is missing or wrong`,
      );
  });

  it('is not confused by other files in the folder', async () => {
    const { take, place, folder } = await setUp();
    mkdirSync(join(folder, '00000009-1-20261122T100000Z-00000000.json'), { recursive: true });
    writeFileSync(join(folder, 'notes.json'), 'mine');
    expect(await take()).toMatchObject({ sequence: 1 });
    expect(await prunePlace(place, { keepLast: 0, keepDays: 0 }, Date.now() + 1e12)).toEqual([]);
    expect(existsSync(join(folder, 'notes.json'))).toBe(true);
  });
});
