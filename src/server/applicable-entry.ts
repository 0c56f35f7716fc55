import { PutEntry } from '../apply/put-entry.ts';
import { decodeMemberContext } from '../membership/member-json.ts';
import { parseVersion } from '../membership/version.ts';
import { InternalRaftRequest, type RequestOp } from '../wire/gen/etcdserverpb.ts';
import { ConfChange, ConfChangeType, type Entry, EntryType } from '../wire/gen/raftpb.ts';
import { EMPTY } from '../wire/reader.ts';

/** Reused: it is only read to find out whether an entry is a put. */
const put = new PutEntry();

/**
 * Whether this member can apply the entry. The entries of other members are checked before they enter the log: an entry
 * that cannot be applied ends the process when it is committed, and again at each start.
 */
export function isApplicable({ type, data }: Pick<Entry, 'type' | 'data'>): boolean {
  try {
    if (type === EntryType.EntryNormal)
      return data === undefined || data.length === 0 || isApplicableRequest(data);
    return type === EntryType.EntryConfChange && isApplicableChange(ConfChange.decode(data ?? EMPTY));
  } catch {
    return false;
  }
}

/** @throws Error if the bytes cannot be decoded */
function isApplicableRequest(data: Buffer): boolean {
  const isPut = put.read(data);
  put.release();
  if (isPut) return true;
  const request = InternalRaftRequest.decode(data);
  if (request.id === 0n && request.header === undefined) return false;
  if (request.txn !== undefined && !(hasRequests(request.txn.success) && hasRequests(request.txn.failure)))
    return false;
  const { clusterVersionSet } = request;
  if (clusterVersionSet !== undefined && parseVersion(clusterVersionSet.ver) === undefined) return false;
  return Object.entries(request).some(([field, value]) => isKind(field) && value !== undefined);
}

/** All other fields of a request name what is asked for. */
function isKind(field: string): boolean {
  return field !== 'id' && field !== 'header';
}

function hasRequests(ops: readonly RequestOp[]): boolean {
  return ops.every(({ request: op }) => {
    if (op?.case !== 'requestTxn') return op !== undefined;
    return hasRequests(op.value.success) && hasRequests(op.value.failure);
  });
}

/** @throws Error if the member in it cannot be decoded */
function isApplicableChange({ type, nodeId, context }: ConfChange): boolean {
  switch (type) {
    case ConfChangeType.ConfChangeRemoveNode:
      return true;
    case ConfChangeType.ConfChangeAddNode:
    case ConfChangeType.ConfChangeUpdateNode:
    case ConfChangeType.ConfChangeAddLearnerNode:
      return decodeMemberContext(context ?? EMPTY).member.id === nodeId;
    default:
      return false;
  }
}
