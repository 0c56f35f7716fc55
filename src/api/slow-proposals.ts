import type { Applied } from '../apply/results.ts';
import { RaftRequestField } from '../server/raft-request.ts';
import type { Durations } from '../server/durations.ts';
import type { Detail } from '../server/slow-requests.ts';
import { PutRequest, type TxnRequest } from '../wire/gen/etcdserverpb.ts';
import { FAILURE, operationsOf, SUCCEEDED_TAG, SUCCESS } from './txn-operations.ts';

/** The end of waiting until a request is in the log of a quorum and its turn to be applied has come; etcd's name. */
export const PROCESSED = 'process raft request';

/**
 * Logs the steps of a slow put or transaction that was applied just now. Other requests are not logged by etcd either.
 *
 * @param bytes the encoded request
 */
export function reportSlowProposal(
  durations: Durations,
  field: RaftRequestField,
  bytes: Buffer,
  result: Applied,
): void {
  if (field !== RaftRequestField.put && field !== RaftRequestField.txn) return;
  const endedMs = durations.slowRequests.now();
  const isPut = field === RaftRequestField.put;
  durations.slowRequests.report({
    operation: isPut ? 'put' : 'transaction',
    detail: isPut ? putDetail(bytes, result) : txnDetail(bytes, result),
    startedMs: endedMs - durations.proposalMs,
    endedMs,
    steps: [
      [PROCESSED, durations.applyBeganMs],
      ['apply to the store', endedMs],
    ],
  });
}

function putDetail(bytes: Buffer, { revision }: Applied): Detail {
  return [
    ['key', PutRequest.decode(bytes).key],
    ['req_size', bytes.length],
    ['response_revision', revision],
  ];
}

/** The order of the fields is that of etcd, where the first put sets the revision. */
function txnDetail(bytes: Buffer, result: Applied): Detail {
  const { count, hasPut } = operationsOf(bytes, isSuccess(result) ? SUCCESS : FAILURE);
  const responses = ['number_of_response', count] as const;
  const at = ['response_revision', result.revision] as const;
  return [['read_only', false], ...(hasPut ? [at, responses] : [responses, at])];
}

/** How many responses the transaction has. */
export function responseCount({ success, failure }: TxnRequest, result: Applied): number {
  return (isSuccess(result) ? success : failure).length;
}

/** The first field of the response after its header is `succeeded`. */
function isSuccess({ body }: Applied): boolean {
  return body.slices[0]?.[0] === SUCCEEDED_TAG;
}
