import { expect, it } from 'vitest';
import { PutResponse, ResponseOp, TxnResponse } from '../wire/gen/etcdserverpb.ts';
import { ResponseBody } from './response-body.ts';

const TXN_RESPONSES = 3;
const RESPONSE_PUT = 2;

it('short bytes share slices, long ones are not copied', () => {
  const long = Buffer.alloc(5_000, 'x');
  const body = new ResponseBody();
  for (let n = 0; n < 20_000; n += 1) {
    const put = new ResponseBody();
    put.nestedHeader(300);
    if (n === 10_000) put.field(2, long);
    body.wrapped(TXN_RESPONSES, RESPONSE_PUT, put);
  }
  expect(body.slices.length).toBeLessThan(40);
  expect(body.slices).toContain(long);
  const bytes = Buffer.concat(body.slices);
  expect(bytes).toHaveLength(body.size);
  const { responses } = TxnResponse.decode(bytes);
  expect(responses).toHaveLength(20_000);
  expect(responses[0]).toEqual(
    ResponseOp.create({
      response: {
        case: 'responsePut',
        value: PutResponse.create({ header: { clusterId: 0n, memberId: 0n, revision: 300, raftTerm: 0 } }),
      },
    }),
  );
});

it('can be read before it is complete', () => {
  const body = new ResponseBody();
  body.varint(2, 1);
  const first = Buffer.concat(body.slices);
  body.field(4, Buffer.from('later'));
  expect(Buffer.concat(body.slices).subarray(0, first.length)).toEqual(first);
  expect(Buffer.concat(body.slices).toString('latin1')).toBe('\x10\x01\x22\x05later');
});
