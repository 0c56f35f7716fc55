import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { IncomingSnapshots } from '../snapshot/receive-snapshot.ts';
import { dataDirectory, prepareDataDirectory } from '../storage/data-dir.ts';
import { RocksEngine } from '../storage/rocks-engine.ts';
import { beginMaking } from '../storage/unfinished.ts';
import { database, etcdDirectory, fresh, run } from './testing/etcd-directory.ts';

describe('keystead import', () => {
  it('can be repeated after an interruption, and leaves no files when it fails', async () => {
    const from = await etcdDirectory(database(4), 7);
    const to = fresh();
    const target = dataDirectory(to);
    prepareDataDirectory(target);
    beginMaking(target, 'import');
    mkdirSync(`${target.rocksdb}.building`);
    mkdirSync(`${target.wal}.building`);
    writeFileSync(join(target.rocksdb, 'CURRENT'), 'half');
    expect((await run('verify', '--data-dir', to)).err).toContain('was interrupted');
    expect((await run('import', '--from', from, '--data-dir', to)).code).toBe(0);
    expect(readdirSync(join(to, 'member')).sort()).toEqual(['rocksdb', 'snap', 'wal']);

    const old = await etcdDirectory(database(4, false), 7);
    const before = readdirSync(old, { recursive: true }).sort();
    expect((await run('import', '--from', old, '--data-dir', old)).err).toContain('etcd 3.4');
    expect(readdirSync(old, { recursive: true }).sort()).toEqual(before);
  });
});

describe('a snapshot from a leader', () => {
  // eslint-disable-next-line @typescript-eslint/require-await
  async function* inPieces(file: Buffer, end = file.length): AsyncGenerator<Buffer> {
    for (let at = 0; at < end; at += 5000) yield file.subarray(at, Math.min(at + 5000, end));
    if (end < file.length) throw new Error('the sender disconnected');
  }

  it('becomes a complete store, or leaves no files', async () => {
    const bytes = database(9);
    const receive = (body: AsyncIterable<Buffer>, index: number) => {
      const directory = fresh();
      const folder = fresh();
      mkdirSync(folder, { recursive: true });
      const incoming = new IncomingSnapshots(folder, directory);
      return { directory, folder, done: incoming.receive({ body, index, id: undefined, offset: 0 }) };
    };
    const whole = receive(inPieces(bytes), 9);
    expect(await whole.done).toMatchObject({ index: 9, term: 2, keys: 2, revision: 3 });
    const engine = await RocksEngine.open(whole.directory);
    expect(engine.get('latest', Buffer.from('b'))).toBeDefined();
    await engine.close();
    expect(readdirSync(whole.folder)).toEqual([]);
    for (const [body, index, fault] of [
      [inPieces(bytes), 8, 'has applied entry 9 instead of 8'],
      [inPieces(bytes, 9000), 9, 'the sender disconnected'],
      [inPieces(bytes.subarray(0, 9000)), 9, 'the file is cut off'],
    ] as const) {
      const broken = receive(body, index);
      await expect(broken.done).rejects.toThrow(fault);
      expect(existsSync(broken.directory)).toBe(false);
      expect(readdirSync(broken.folder)).toEqual([]);
    }
  });

  it('is resumed after a failed transfer if it is the same snapshot', async () => {
    const bytes = database(9);
    const folder = fresh();
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `${'0'.repeat(16)}.snap.db`), 'left by a process that died');
    const incoming = new IncomingSnapshots(folder, fresh());
    expect(readdirSync(folder)).toEqual([]);
    const part = { index: 9, id: 'one' };
    const broken = { ...part, body: inPieces(bytes, 9000), offset: 0 };
    await expect(incoming.receive(broken)).rejects.toThrow('the sender disconnected');
    expect([incoming.keptOf('one'), incoming.keptOf('other')]).toEqual([9000, 0]);
    const rest = { ...part, body: inPieces(bytes.subarray(9000)), offset: 9000 };
    for (const wrong of [{ id: 'other' }, { offset: 8000 }, { index: 8 }])
      await expect(incoming.receive({ ...rest, ...wrong })).rejects.toThrow('nothing here');
    expect(await incoming.receive(rest)).toMatchObject({ index: 9, keys: 2, revision: 3 });
    expect(readdirSync(folder)).toEqual([]);
    for (const [id, end] of [
      ['one', 9000],
      ['other', 4000],
    ] as const) {
      const body = inPieces(bytes, end);
      await expect(incoming.receive({ index: 9, id, body, offset: 0 })).rejects.toThrow('disconnected');
    }
    expect([incoming.keptOf('one'), incoming.keptOf('other')]).toEqual([0, 4000]);
    expect(readdirSync(folder)).toHaveLength(1);
  });
});
