import { describe, expect, it } from 'vitest';
import {
  DeleteRangeRequest,
  InternalRaftRequest,
  PutRequest,
  RequestHeader,
} from '../wire/gen/etcdserverpb.ts';
import { PutEntry } from './put-entry.ts';

const ids = [1n, 0x7fn, 0x80n, 0xffff_ffffn, 0x1_0000_0000n, 0x8e9e_05c5_2164_694dn, 0xffff_ffff_ffff_ffffn];
const leases = [0n, 1n, 0x7fff_ffff_ffff_ffffn, -1n, -0x8000_0000_0000_0000n, 0x1_2345_6789n];

function encode(request: Partial<InternalRaftRequest>): Buffer {
  return InternalRaftRequest.encode(InternalRaftRequest.create(request));
}

describe('PutEntry', () => {
  it('decodes a put as the full decoder does', () => {
    const entry = new PutEntry();
    let step = 0;
    for (const id of ids) {
      for (const lease of leases) {
        step++;
        const put = PutRequest.create({
          key: Buffer.alloc(step * 7, 'k'),
          value: Buffer.alloc((step * 331) % 20_000, 'v'),
          lease,
          prevKv: step % 2 === 0,
          ignoreValue: step % 3 === 0,
          ignoreLease: step % 5 === 0,
        });
        const header = RequestHeader.create({
          id,
          username: step % 4 === 0 ? 'Jürgen' : '',
          authRevision: step * 2 ** 40,
        });
        expect(entry.read(encode({ header, put }))).toBe(true);
        expect(entry).toMatchObject(put);
        expect((BigInt(entry.idPrefix) << 48n) | BigInt(entry.idSequence)).toBe(id);
        expect([entry.username, entry.authRevision]).toEqual([header.username, header.authRevision]);
      }
    }
  });

  it('leaves other entries to the full decoder', () => {
    const header = RequestHeader.create({ id: 5n });
    const put = PutRequest.create({ key: Buffer.from('k') });
    const entry = new PutEntry();
    expect(entry.read(encode({ header, deleteRange: DeleteRangeRequest.create() }))).toBe(false);
    expect(entry.read(encode({ header }))).toBe(false);
    expect(entry.read(encode({ put }))).toBe(false);
    expect(entry.read(encode({ put, id: 5n }))).toBe(false);
    expect(entry.read(Buffer.concat([encode({ put, header }), encode({ put })]))).toBe(false);
    const whole = encode({ header, put });
    for (let length = 1; length < whole.length; length++)
      expect(entry.read(whole.subarray(0, length))).toBe(false);
  });
});
