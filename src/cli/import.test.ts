import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type BucketContents, databaseChunks, measureDatabase } from '../bbolt/writer.ts';
import { encodeIdentity } from '../server/identity.ts';
import { IncomingSnapshots } from '../snapshot/receive-snapshot.ts';
import { confStateToJson } from '../snapshot/conf-state-json.ts';
import { revisionKey } from '../snapshot/schema.ts';
import { dataDirectory, prepareDataDirectory } from '../storage/data-dir.ts';
import { RocksEngine } from '../storage/rocks-engine.ts';
import { beginMaking } from '../storage/unfinished.ts';
import { createLog } from '../storage/wal/open-log.ts';
import { encodeKeyValue } from '../wire/key-value.ts';
import { ConfState, Entry, HardState } from '../wire/gen/raftpb.ts';
import { runCli } from './dispatch.ts';

const root = mkdtempSync(join(tmpdir(), 'keystead-import-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let made = 0;
const fresh = (): string => join(root, String(made++));

async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const code = await runCli({
    args,
    environment: {},
    serve: () => Promise.reject(new Error('serves nothing')),
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
  });
  return { code, out, err };
}

const eightBytes = (value: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32BE(value, 4);
  return bytes;
};

/** An etcd database with two keys, applied up to the given entry. */
function database(index: number, withConfState = true): Buffer {
  const bucket = (elements: [Buffer | string, Buffer][]): BucketContents => ({
    elements: () => elements.map(([key, value]) => ({ key: Buffer.from(key), value })),
  });
  const value = Buffer.from('value');
  const change = (key: string, revision: number): [Buffer, Buffer] => [
    revisionKey(revision, 0, false),
    encodeKeyValue({
      key: Buffer.from(key),
      createRevision: revision,
      modRevision: revision,
      version: 1,
      value,
      lease: 0n,
    }),
  ];
  const meta: [string, Buffer][] = [
    ['consistent_index', eightBytes(index)],
    ['term', eightBytes(2)],
  ];
  if (withConfState) meta.unshift(['confState', confStateToJson(ConfState.create({ voters: [5n] }))]);
  const contents: BucketContents = {
    elements: () => [
      { key: Buffer.from('key'), bucket: bucket([change('a', 2), change('b', 3)]) },
      { key: Buffer.from('meta'), bucket: bucket(meta) },
    ],
  };
  return Buffer.concat([...databaseChunks(contents, measureDatabase(contents), 1 << 16)]);
}

async function etcdDirectory(file: Buffer, entries: number): Promise<string> {
  const directory = fresh();
  mkdirSync(join(directory, 'member/snap'), { recursive: true });
  writeFileSync(join(directory, 'member/snap/db'), file);
  const onFailure = (error: Error): void => {
    throw error;
  };
  const options = { directory: join(directory, 'member/wal'), segmentBytes: 1 << 20, onFailure };
  const { log } = createLog(options, encodeIdentity({ memberId: 5n, clusterId: 6n }));
  log.append(
    {
      entries: Array.from({ length: entries }, (_, n) => Entry.create({ term: 2, index: n + 1 })),
      hardState: HardState.create({ term: 2, vote: 5n, commit: entries }),
    },
    () => undefined,
  );
  await log.close();
  return directory;
}

describe('keystead import', () => {
  it('imports a data directory into a new one or in place', async () => {
    const from = await etcdDirectory(database(4), 7);
    const to = fresh();
    expect(await run('import', '--from', from, '--data-dir', to)).toEqual({
      code: 0,
      out: 'imported 2 keys and 2 changes up to revision 3, applied index 4 in term 2\n',
      err: '',
    });
    expect((await run('import', `--from=${from}`, `--data-dir=${to}`)).err).toContain('already exists');
    expect((await run('import', '--from', from, '--data-dir', from)).code).toBe(0);
    expect(existsSync(join(from, 'member/rocksdb/CURRENT'))).toBe(true);
  });

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

  it('prefers a newer database that was received but not installed', async () => {
    const from = await etcdDirectory(database(4), 7);
    writeFileSync(join(from, 'member/snap/0000000000000006.snap.db'), database(6));
    writeFileSync(join(from, 'member/snap/0000000000000002.snap.db'), database(2));
    expect((await run('import', '--from', from, '--data-dir', fresh())).out).toContain('applied index 6');
  });

  it('reports what is missing', async () => {
    expect(await run('import')).toMatchObject({ code: 2, err: expect.stringContaining('Usage') as string });
    expect((await run('import', '--wrong')).code).toBe(2);
    const nothing = await run('import', '--from', fresh(), '--data-dir', fresh());
    expect(nothing).toMatchObject({
      code: 1,
      err: expect.stringContaining('is not a data directory of etcd') as string,
    });
    const old = await etcdDirectory(database(4, false), 7);
    const target = fresh();
    expect((await run('import', '--from', old, '--data-dir', target)).err).toContain(
      'by etcd 3.4 or earlier',
    );
    expect(existsSync(join(target, 'member/rocksdb'))).toBe(false);
  });
});

describe('keystead snapshot', () => {
  it('restores if the flags are consistent', async () => {
    const file = join(root, 'saved.db');
    writeFileSync(file, database(4));
    const restore = (...flags: string[]): ReturnType<typeof run> =>
      run('snapshot', 'restore', file, ...flags);
    const to = fresh();
    expect((await restore('--data-dir', to)).err).toContain('snapshot missing hash');
    expect((await restore('--data-dir', to, '--name=x', '--initial-cluster=y=http://h:1')).err).toContain(
      `couldn't find local name "x"`,
    );
    expect((await restore('--data-dir', to, '--initial-cluster=default=http://h:1')).err).toContain(
      '--initial-advertise-peer-urls http://localhost:2380',
    );
    expect((await restore('--data-dir', to, '--bump-revision=5')).code).toBe(2);
    expect((await run('snapshot', 'save', file)).err).toContain('etcdctl snapshot save');
    const done = await restore('--data-dir', to, '--skip-hash-check');
    expect(done).toMatchObject({ code: 0, out: expect.stringContaining('restored 2 keys') as string });
    expect((await run('verify', '--data-dir', to)).out).toContain('applied index 1 in term 1');
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
