import type { Config } from '../config/config.ts';
import type { LogStore } from '../ports/log-store.ts';
import type { SpaceGauge } from '../ports/space.ts';
import { EtcdError, errors, GrpcCode } from '../wire/errors.ts';
import { RaftRequestField } from './raft-request.ts';

/** Committed entries that may wait to be applied before proposals are refused; etcd's number. */
const MAX_COMMIT_APPLY_GAP = 5000;
/** With the feature gate PriorityRequest: the end of leases relieves a member, and is let in longer. */
const MAX_PRIORITY_GAP = 2 * MAX_COMMIT_APPLY_GAP;

/** What is refused while the disk is nearly full; the rest helps to free space, or takes next to none. */
const takesSpace: ReadonlySet<RaftRequestField> = new Set([
  RaftRequestField.put,
  RaftRequestField.txn,
  RaftRequestField.leaseGrant,
]);

/** etcd answers with its internal error here, which clients see as unknown. */
export const TOO_MANY_REQUESTS = new EtcdError(GrpcCode.Unknown, errors.RequestTooManyRequests.message);

export interface Storing {
  readonly log: Pick<LogStore, 'appendable'>;
  readonly space: SpaceGauge;
}

/**
 * Why a proposal of that kind and size cannot be taken now; undefined when it can.
 *
 * @param backlog entries committed and not applied yet
 */
export function admissionRefusal(
  { log, space }: Storing,
  { maxRequestBytes, featureGates }: Pick<Config, 'maxRequestBytes' | 'featureGates'>,
  backlog: number,
  { field, bytes }: { readonly field: RaftRequestField; readonly bytes: number },
): EtcdError | undefined {
  const isPriority = field === RaftRequestField.leaseRevoke && featureGates.get('PriorityRequest') === true;
  if (backlog > (isPriority ? MAX_PRIORITY_GAP : MAX_COMMIT_APPLY_GAP)) return TOO_MANY_REQUESTS;
  if (bytes > maxRequestBytes) return errors.RequestTooLarge;
  if (!log.appendable(bytes)) return errors.NoSpace;
  return !space.hasRoom && takesSpace.has(field) ? errors.NoSpace : undefined;
}
