import { expect, it } from 'vitest';
import { KeyValue } from './gen/mvccpb.ts';
import { RangeResponse } from './gen/etcdserverpb.ts';
import { getResponse } from './get-response.ts';
import { ResponseHeaders } from './response-header.ts';

it('a response with one key is encoded as any other', () => {
  const header = new ResponseHeaders(1n, 2n).field(7, 3);
  // Twice, since the head of a field is kept.
  for (const bytes of [0, 100, 5_000, 0, 100, 5_000]) {
    const kv = KeyValue.create({ key: Buffer.from('key'), value: Buffer.alloc(bytes, 'v'), version: 1 });
    const response = RangeResponse.decode(Buffer.concat(getResponse(header, KeyValue.encode(kv))));
    expect(response.header?.revision).toBe(7);
    expect(response.count).toBe(1);
    expect(response.kvs).toEqual([kv]);
  }
});
