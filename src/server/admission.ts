import type { Config } from '../config/config.ts';
import type { LogStore } from '../ports/log-store.ts';
import type { SpaceGauge } from '../ports/space.ts';
import { EtcdError, errors, GrpcCode } from '../wire/errors.ts';
import { RaftRequestField } from './raft-request.ts';

/** Committed entries that may wait to be applied before proposals are refused; etcd's number. */
const MAX_COMMIT_APPLY_GAP = 5000;

/** What is refused while the disk is nearly full; the rest helps to free space, or takes next to none. */
const takesSpace: ReadonlySet<RaftRequestField> = new Set([
  RaftRequestField.put,
  RaftRequestField.txn,
  RaftRequestField.leaseGrant,
]);

/** etcd answers with its internal error here, which clients see as unknown. */
const TOO_MANY_REQUESTS = new EtcdError(GrpcCode.Unknown, errors.RequestTooManyRequests.message);

export interface Admission {
  /** Entries committed and not applied yet. */
  readonly backlog: number;
  readonly config: Pick<Config, 'maxRequestBytes'>;
  readonly log: Pick<LogStore, 'appendable'>;
  readonly space: SpaceGauge;
}

/** Why a proposal of that kind and size cannot be taken now; undefined when it can. */
export function admissionRefusal(
  { backlog, config, log, space }: Admission,
  field: RaftRequestField,
  bytes: number,
): EtcdError | undefined {
  if (backlog > MAX_COMMIT_APPLY_GAP) return TOO_MANY_REQUESTS;
  if (bytes > config.maxRequestBytes) return errors.RequestTooLarge;
  if (!log.appendable(bytes)) return errors.NoSpace;
  return !space.hasRoom && takesSpace.has(field) ? errors.NoSpace : undefined;
}
