import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, it } from 'vitest';
import { ConfChange, ConfState, Entry, HardState, Message } from './gen/raftpb.ts';
import { Record, Snapshot } from './gen/walpb.ts';
import { allCodecs } from './testing/all-codecs.ts';

/** Written by the Go modules of etcd v3.7.1 and raft v3.7.0. */
interface Vector {
  type: string;
  name: string;
  hex: string;
}
const vectors = JSON.parse(
  readFileSync(resolve(import.meta.dirname, 'testdata/go-vectors.json'), 'utf8'),
) as Vector[];

/** etcd 3.7 does not write unused fields of a raft message. Keystead writes them as zero, as etcd 3.6 did. */
const sparse = vectors.filter(({ type, name }) => type === 'raftpb.Message' && name === 'sparse');

it.each(vectors.filter((vector) => !sparse.includes(vector)).map((v) => [v.type, v.name, v.hex]))(
  '%s %s: read and written as Go does',
  (type, _name, hex) => {
    const codec = allCodecs.get(type)!;
    const bytes = Buffer.from(hex, 'hex');
    const message = codec.decode(bytes);
    expect(codec.encode(message).toString('hex')).toBe(hex);
    expect(codec.size(message)).toBe(bytes.length);
  },
);

function hexOf(type: string, name: string): Buffer {
  return Buffer.from(vectors.find((v) => v.type === type && v.name === name)!.hex, 'hex');
}

it('a normal entry is written without a type, a configuration change with it', () => {
  const normal = hexOf('raftpb.Entry', 'normal');
  expect(Entry.decode(normal)).toEqual({ term: 2, index: 7, type: 0, data: Buffer.from('data') });
  expect(Entry.decode(hexOf('raftpb.Entry', 'empty')).data).toBeUndefined();
  expect(Entry.decode(hexOf('raftpb.Entry', 'emptydata')).data).toHaveLength(0);
  expect(Entry.decode(hexOf('raftpb.Entry', 'confchange')).type).toBe(1);
});

it('node ids are exact, zero votes and commits are written', () => {
  expect(ConfState.decode(hexOf('raftpb.ConfState', 'cs')).voters).toEqual([1n, 2n ** 64n - 1n]);
  expect(ConfChange.decode(hexOf('raftpb.ConfChange', 'bootstrap')).nodeId).toBe(13049071153751544597n);
  expect(HardState.encode({ term: 1, vote: 0n, commit: 1 }).toString('hex')).toBe('080110001801');
  expect(Snapshot.encode(Snapshot.create()).toString('hex')).toBe('08001000');
  expect(Record.encode(Record.create({ type: 4 })).toString('hex')).toBe('08041000');
});

it('a sparse message is read as a message with zeros', () => {
  const [{ hex } = { hex: '' }] = sparse;
  const message = Message.create({ type: 8, to: 1n, from: 2n, term: 3, commit: 8 });
  expect(Message.decode(Buffer.from(hex, 'hex'))).toEqual(message);
  expect(Message.decode(Message.encode(message))).toEqual(message);
});
