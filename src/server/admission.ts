import type { Config } from '../config/config.ts';
import type { SpaceGauge } from '../ports/space.ts';
import { EtcdError, errors, GrpcCode } from '../wire/errors.ts';
import { RaftRequestField } from './raft-request.ts';

/** Proposals are refused when more committed entries than this wait to be applied. The number is etcd's. */
const MAX_COMMIT_APPLY_GAP = 5000;
/** With the feature gate PriorityRequest, lease revocations have a higher limit, since they free memory and space. */
const MAX_PRIORITY_GAP = 2 * MAX_COMMIT_APPLY_GAP;

/** Requests that are refused while the disk is nearly full. All others free space or need very little. */
const takesSpace: ReadonlySet<RaftRequestField> = new Set([
  RaftRequestField.put,
  RaftRequestField.txn,
  RaftRequestField.leaseGrant,
]);

/** etcd returns its internal error here, which clients see with the code Unknown. */
export const TOO_MANY_REQUESTS = new EtcdError(GrpcCode.Unknown, errors.RequestTooManyRequests.message);

export interface StorageState {
  /** See `LogStore.room`. */
  readonly logRoom: number;
  readonly space: SpaceGauge;
}

/**
 * Checks whether a proposal can be accepted now.
 *
 * @param backlog number of entries that are committed and not applied yet
 * @returns the error for the client, or undefined when the proposal is accepted
 */
export function admissionRefusal(
  { logRoom, space }: StorageState,
  { maxRequestBytes, featureGates }: Pick<Config, 'maxRequestBytes' | 'featureGates'>,
  backlog: number,
  { field, bytes }: { readonly field: RaftRequestField; readonly bytes: number },
): EtcdError | undefined {
  const isPriority = field === RaftRequestField.leaseRevoke && featureGates.get('PriorityRequest') === true;
  if (backlog > (isPriority ? MAX_PRIORITY_GAP : MAX_COMMIT_APPLY_GAP)) return TOO_MANY_REQUESTS;
  if (bytes > maxRequestBytes) return errors.RequestTooLarge;
  if (bytes > logRoom) return errors.NoSpace;
  return !space.hasRoom && takesSpace.has(field) ? errors.NoSpace : undefined;
}
