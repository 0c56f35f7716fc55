import { expect, it } from 'vitest';
import { runSteps } from '../lib/steps.ts';
import { SeededRandom } from '../lib/seeded-random.ts';
import { decodeInSteps } from './codec.ts';
import { PutRequest, RequestOp, TxnRequest } from './gen/etcdserverpb.ts';
import { WireError } from './wire-error.ts';

const putOp = (bytes: Buffer): RequestOp =>
  RequestOp.create({ request: { case: 'requestPut', value: PutRequest.create({ key: bytes }) } });

function outcome(decode: () => unknown): unknown {
  try {
    return decode();
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    return error.message;
  }
}

// A transaction with 700,000 empty operations was decoded in one turn of 60 to 100 ms.
it('a request with very many fields is decoded in steps, and only some of its items are kept', () => {
  const bytes = Buffer.alloc(1_400_000, Buffer.from([0x12, 0]));
  const steps = decodeInSteps(TxnRequest, bytes, 129);
  let count = 0;
  let step = steps.next();
  for (; step.done !== true; step = steps.next()) count += 1;
  expect(count).toBeGreaterThan(100);
  expect(step.value.success).toHaveLength(129);
});

// Each value of 12 KB was a step of its own, so a transaction of 1.2 MB was applied in 34 turns of the event loop.
it('a request with few fields is decoded in few steps, however long its values are', () => {
  const value = Buffer.alloc(12_000);
  const success = Array.from({ length: 100 }, () => putOp(value));
  const steps = decodeInSteps(TxnRequest, TxnRequest.encode(TxnRequest.create({ success })));
  expect(steps.next()).toEqual({ done: true, value: TxnRequest.create({ success }) });
});

it('decoding in steps gives what decoding at once gives, for invalid bytes too', () => {
  const random = new SeededRandom(4);
  for (let round = 0; round < 60; round += 1) {
    const nested = TxnRequest.create({ failure: [putOp(random.bytes(20_000)), putOp(random.bytes(3))] });
    const bytes = TxnRequest.encode(
      TxnRequest.create({
        success: Array.from({ length: random.int(30) }, () => putOp(random.bytes(random.int(3_000)))),
        failure: [RequestOp.create({ request: { case: 'requestTxn', value: nested } })],
      }),
    );
    if (random.chance(0.7)) bytes[random.int(bytes.length)] = random.int(256);
    const cut = random.chance(0.3) ? bytes.subarray(0, random.int(bytes.length)) : bytes;
    const expected = outcome(() => TxnRequest.decode(cut));
    expect(outcome(() => runSteps(decodeInSteps(TxnRequest, cut)))).toEqual(expected);
  }
});
