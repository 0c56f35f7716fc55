import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { type BucketContents, databaseChunks, measureDatabase } from '../../bbolt/writer.ts';
import { encodeIdentity } from '../../server/identity.ts';
import { confStateToJson } from '../../snapshot/conf-state-json.ts';
import { revisionKey } from '../../snapshot/schema.ts';
import { createLog } from '../../storage/wal/open-log.ts';
import { encodeKeyValue } from '../../wire/key-value.ts';
import { ConfState, Entry, HardState } from '../../wire/gen/raftpb.ts';
import { runCli } from '../dispatch.ts';

export const root = mkdtempSync(join(tmpdir(), 'keystead-import-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let made = 0;
export const fresh = (): string => join(root, String(made++));

export async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
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
export function database(index: number, withConfState = true): Buffer {
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

export async function etcdDirectory(file: Buffer, entries: number): Promise<string> {
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
