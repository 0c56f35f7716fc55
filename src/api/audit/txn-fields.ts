import { Reader } from '../../wire/reader.ts';
import { Compare, RequestOp } from '../../wire/gen/etcdserverpb.ts';
import { type AuditFields, keyText, requestFields } from './request-fields.ts';

/** Compared keys and operations in a line. */
const MAX_SHOWN = 32;
/** Later operations are not even counted. Without a raised `--max-txn-ops` such a transaction is refused. */
const MAX_COUNTED = 65_536;

/** The tags of the fields of TxnRequest. */
const COMPARE = 0x0a;
const SUCCESS = 0x12;
const FAILURE = 0x1a;

/** By the tag of the operation in RequestOp. */
const OPERATIONS: Readonly<Record<number, { readonly name: string; readonly type: string }>> = {
  0x0a: { name: 'range', type: 'etcdserverpb.RangeRequest' },
  0x12: { name: 'put', type: 'etcdserverpb.PutRequest' },
  0x1a: { name: 'delete', type: 'etcdserverpb.DeleteRangeRequest' },
};
const RANGE = 0x0a;
const TXN = 0x22;

/**
 * The compared keys and the operations of both branches, nested transactions included. Only what the line shows is
 * decoded: there may be tens of thousands of operations.
 *
 * @param request an encoded TxnRequest
 * @throws WireError for invalid bytes
 */
export function txnFields(request: Buffer): AuditFields {
  const compared: string[] = [];
  const operations: AuditFields[] = [];
  let total = 0;
  let left = MAX_COUNTED;
  const visit = (txn: Buffer): void => {
    const branches = { success: [] as Operation[], failure: [] as Operation[] };
    const reader = new Reader(txn);
    while (reader.position < reader.length && left > 0) {
      const tag = reader.tag();
      if (tag === COMPARE) {
        const compare = reader.bytes();
        if (compared.length < MAX_SHOWN) compared.push(keyText(Compare.decode(compare).key));
      } else if (tag === SUCCESS || tag === FAILURE) {
        left -= 1;
        branches[tag === SUCCESS ? 'success' : 'failure'].push(readOperation(reader));
      } else reader.skip(tag);
    }
    for (const branch of ['success', 'failure'] as const) {
      for (const { tag, start, end, nested } of branches[branch]) {
        nested.forEach(visit);
        const kind = OPERATIONS[tag];
        if (kind === undefined) continue;
        total += 1;
        if (operations.length === MAX_SHOWN) continue;
        const { request: operation } = RequestOp.decode(txn.subarray(start, end));
        if (operation !== undefined)
          operations.push({ op: kind.name, branch, ...requestFields(kind.type, operation.value) });
      }
    }
  };
  visit(request);
  const cut = total > operations.length ? { operations_total: total } : {};
  return { ...(compared.length > 0 ? { compared } : {}), operations, ...cut };
}

/** Whether all operations are ranges, which are not decoded. @throws WireError for invalid bytes */
export function readsOnly(request: Buffer): boolean {
  const reader = new Reader(request);
  for (let read = 0; reader.position < reader.length;) {
    const tag = reader.tag();
    if (tag === SUCCESS || tag === FAILURE) {
      read += 1;
      if (read > MAX_COUNTED || readOperation(reader).tag !== RANGE) return false;
    } else reader.skip(tag);
  }
  return true;
}

interface Operation {
  /** 0 for none. */
  readonly tag: number;
  readonly start: number;
  readonly end: number;
  readonly nested: readonly Buffer[];
}

const NONE: readonly Buffer[] = [];

/** Where an operation is, and its kind. Of several kinds the last counts, and a kind that is repeated is merged. */
function readOperation(reader: Reader): Operation {
  const end = reader.nested();
  const start = reader.position;
  let kind = 0;
  let nested = NONE;
  while (reader.position < end) {
    const tag = reader.tag();
    if (tag === TXN) {
      nested = [...(kind === TXN ? nested : NONE), reader.bytes()];
      kind = tag;
    } else {
      reader.skip(tag);
      if (OPERATIONS[tag] === undefined) continue;
      kind = tag;
      nested = NONE;
    }
  }
  reader.finish(end);
  reader.leave();
  return { tag: kind, start, end, nested };
}
