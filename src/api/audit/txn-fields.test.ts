import { expect, it, vi } from 'vitest';
import { isReadonlyTxn } from '../../apply/checks.ts';
import { SeededRandom } from '../../lib/seeded-random.ts';
import { PutRequest, RequestOp, TxnRequest } from '../../wire/gen/etcdserverpb.ts';
import { randomMessage } from '../../wire/testing/random-message.ts';
import { type AuditFields, keyText, requestFields } from './request-fields.ts';
import { readsOnly, txnFields } from './txn-fields.ts';

const kinds = {
  requestRange: { name: 'range', type: 'etcdserverpb.RangeRequest' },
  requestPut: { name: 'put', type: 'etcdserverpb.PutRequest' },
  requestDeleteRange: { name: 'delete', type: 'etcdserverpb.DeleteRangeRequest' },
};

/** The same by decoding all. */
function expectedFields(request: TxnRequest): AuditFields {
  const compared: string[] = [];
  const operations: AuditFields[] = [];
  const visit = ({ compare, success, failure }: TxnRequest): void => {
    for (const { key } of compare) compared.push(keyText(key));
    for (const [branch, list] of Object.entries({ success, failure })) {
      for (const { request: operation } of list) {
        if (operation?.case === 'requestTxn') visit(operation.value);
        else if (operation !== undefined) {
          const { name, type } = kinds[operation.case];
          operations.push({ op: name, branch, ...requestFields(type, operation.value) });
        }
      }
    }
  };
  visit(request);
  return {
    ...(compared.length > 0 ? { compared: compared.slice(0, 32) } : {}),
    operations: operations.slice(0, 32),
    ...(operations.length > 32 ? { operations_total: operations.length } : {}),
  };
}

it('tells of a transaction what decoding all of it tells', () => {
  const random = new SeededRandom(5);
  for (let round = 0; round < 300; round += 1) {
    const part = (): Buffer =>
      TxnRequest.encode(randomMessage(random, 'etcdserverpb.TxnRequest') as unknown as TxnRequest);
    // Two encodings in a row are one message, whose fields are not in order.
    const bytes = random.chance(0.5) ? part() : Buffer.concat([part(), part(), part()]);
    const decoded = TxnRequest.decode(bytes);
    expect(txnFields(bytes)).toEqual(expectedFields(decoded));
    expect(readsOnly(bytes)).toBe(isReadonlyTxn(decoded));
  }
});

it('of several kinds in one operation the last counts, and a nested transaction is merged', () => {
  const put = RequestOp.encode({ request: { case: 'requestPut', value: PutRequest.create({}) } });
  const range = Buffer.from([0x0a, 0]);
  const nested = (...operations: Buffer[]): Buffer => {
    const txn = Buffer.concat(
      operations.map((bytes) => Buffer.concat([Buffer.from([0x12, bytes.length]), bytes])),
    );
    return Buffer.concat([Buffer.from([0x22, txn.length]), txn]);
  };
  const cases = [
    [range, put],
    [put, range],
    [nested(put), nested(range, range)],
    [nested(put), range, nested(range)],
    [nested(put), range],
    [],
  ];
  for (const fields of cases) {
    const operation = Buffer.concat(fields);
    const bytes = Buffer.concat([Buffer.from([0x12, operation.length]), operation]);
    const decoded = TxnRequest.decode(bytes);
    expect(txnFields(bytes)).toEqual(expectedFields(decoded));
    expect(readsOnly(bytes)).toBe(isReadonlyTxn(decoded));
  }
});

it('decodes no more operations than it shows', () => {
  const value = PutRequest.create({ key: Buffer.from('k') });
  const success = Array.from({ length: 20_000 }, () => ({ request: { case: 'requestPut' as const, value } }));
  const bytes = TxnRequest.encode(TxnRequest.create({ success }));
  const decode = vi.spyOn(RequestOp, 'decode');
  const decodeAll = vi.spyOn(TxnRequest, 'decode');
  expect(txnFields(bytes)).toMatchObject({ operations_total: 20_000 });
  expect(readsOnly(bytes)).toBe(false);
  expect(decode).toHaveBeenCalledTimes(32);
  expect(decodeAll).not.toHaveBeenCalled();
});
