import { expect, it } from 'vitest';
import { PutRequest, TxnRequest } from '../../wire/gen/etcdserverpb.ts';
import { decodeJson, JsonError } from '../../wire/json.ts';
import { decodeLargeJson } from './large-json.ts';

const txn = (operation: string): Buffer =>
  Buffer.from(`{"success":[${Array.from({ length: 10_000 }, () => operation).join(',')}]}`);

// A request of 1.5 MB with 500,000 elements was decoded in one turn of 420 to 540 ms.
it('a large text is decoded on a thread, with the result and the errors of the main thread', async () => {
  const text = txn('{"requestPut":{"key":"YQ=="}}');
  const invalid = Buffer.concat([text.subarray(0, -2), Buffer.from(',}')]);
  let turns = 0;
  const count = (): void => {
    turns += 1;
    next = setImmediate(count);
  };
  let next = setImmediate(count);
  const [message, dropped, fault] = await Promise.all([
    decodeLargeJson(TxnRequest, text, () => true),
    decodeLargeJson(PutRequest, text, () => false),
    decodeLargeJson(TxnRequest, invalid, () => true).catch((error: unknown) => error),
  ]);
  clearImmediate(next);
  expect(turns).toBeGreaterThan(10);
  expect(
    message?.equals(TxnRequest.encode(decodeJson(TxnRequest.typeName, text) as unknown as TxnRequest)),
  ).toBe(true);
  expect(dropped).toBeUndefined();
  expect(fault).toBeInstanceOf(JsonError);
  expect(() => decodeJson(TxnRequest.typeName, invalid)).toThrow((fault as JsonError).message);
});
