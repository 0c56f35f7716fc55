import { reasonOf } from '../lib/text.ts';
import { EMPTY } from '../wire/reader.ts';
import type { Health } from './health.ts';
import type { StreamCall } from '../grpc/stream-call.ts';
import type { UnaryCall } from '../grpc/unary-call.ts';
import { formatVersion } from '../membership/version.ts';
import type { Logger } from '../ports/logger.ts';
import type { ExportSnapshot } from '../ports/snapshot.ts';
import { None } from '../raft/types.ts';
import type { Downgrades } from '../server/downgrades.ts';
import { hashStore } from '../server/hash-store.ts';
import { RaftRequestField } from '../server/raft-request.ts';
import { EtcdError, errors, GrpcCode } from '../wire/errors.ts';
import {
  AlarmRequestAlarmAction,
  AlarmType,
  DowngradeResponse,
  HashKVResponse,
  HashResponse,
  SnapshotResponse,
  StatusResponse,
} from '../wire/gen/etcdserverpb.ts';
import { Maintenance } from '../wire/services.ts';
import { requireAdmin, requireUser } from './privileges.ts';
import { failCall, type ServiceContext } from './service-context.ts';
import { type Slot, Slots } from './slots.ts';
import { snapshotResponses } from './snapshot-responses.ts';
import { admitStream, endStream, streamIdentity, whenWritable } from './stream-calls.ts';

/** The size of an empty store, as the quota counts it. */
const BASE_BYTES = 16 * 1024;
const LEADER_POLL_MS = 20;

const CANCELED = new EtcdError(GrpcCode.Canceled, 'context canceled');
const NOT_TAKEN = new EtcdError(
  GrpcCode.Unavailable,
  'etcdserver: the client does not read its snapshot, and other clients are waiting',
);

export interface MaintenanceDeps {
  readonly exportSnapshot: ExportSnapshot;
  readonly downgrades: Downgrades;
  readonly health: Health;
  readonly logger: Logger;
  /** The etcd release that this server reports. */
  readonly serverVersion: string;
}

/** The Maintenance service. */
export function registerMaintenance(context: ServiceContext, deps: MaintenanceDeps): void {
  const { member } = context;
  const { methods } = Maintenance;
  const { config, clock, scheduler } = member;
  const hashes = new Slots(config.maxHashes, { clock, scheduler });
  const snapshots = new Slots(config.maxSnapshotStreams, { clock, scheduler });
  const defragments = new Slots(1, { clock, scheduler });

  context.unary(
    methods.status,
    (call) =>
      context.asCaller(call, (who) => {
        requireUser(context, who);
        call.respond([context.header(), status(context, deps)]);
      }),
    { learner: true },
  );

  context.unary(methods.alarm, (call, request, bytes) =>
    context.asCaller(call, (who) => {
      if (request.action === AlarmRequestAlarmAction.GET) requireUser(context, who);
      else requireAdmin(context, who);
      context.propose(call, RaftRequestField.alarm, bytes, who);
    }),
  );

  context.unary(methods.defragment, (call) =>
    context.asCaller(call, (who) => {
      requireAdmin(context, who);
      inTurn(call, defragments)
        .then(({ release }) => defragment(context, call, deps).finally(release))
        .catch((error: unknown) => failCall(call, error));
    }),
  );

  context.unary(methods.hash, (call) =>
    context.asCaller(call, (who) => {
      requireAdmin(context, who);
      hashStore(member, 0, () => inTurn(call, hashes), member.metrics.mvcc.hashDuration)
        .then(({ hash }) =>
          call.respond([context.header(), HashResponse.encode({ header: undefined, hash })]),
        )
        .catch((error: unknown) => failCall(call, error));
    }),
  );

  context.unary(methods.hashKv, (call, request) =>
    context.asCaller(call, (who) => {
      requireAdmin(context, who);
      hashStore(member, request.revision, () => inTurn(call, hashes))
        .then(({ hash, revision, compactRevision }) => {
          const response = { header: undefined, hash, compactRevision, hashRevision: revision };
          call.respond([context.header(), HashKVResponse.encode(response)]);
        })
        .catch((error: unknown) => failCall(call, error));
    }),
  );

  context.unary(methods.moveLeader, (call, request) =>
    context.asCaller(call, (who) => {
      requireAdmin(context, who);
      moveLeader(context, call, request.targetId);
    }),
  );

  context.unary(methods.downgrade, (call, request) =>
    context.asCaller(call, (who) => {
      requireAdmin(context, who);
      deps.downgrades
        .handle(request)
        .then((version) =>
          call.respond([context.header(), DowngradeResponse.encode({ header: undefined, version })]),
        )
        .catch((error: unknown) => failCall(call, error));
    }),
  );

  context.server.stream(methods.snapshot, (call) => {
    // The only stream that a learner serves.
    if (!admitStream(context, call, { learner: true })) return;
    call.onMessage = () => {
      try {
        streamIdentity(context, call, (who) => {
          requireAdmin(context, who);
          sendSnapshot(context, call, deps, snapshots).catch((error: unknown) => {
            deps.logger.warn('failed to send a snapshot', { error: String(error) });
            if (error instanceof EtcdError) endStream(call, error);
            else call.end(GrpcCode.Unknown, reasonOf(error));
          });
        });
      } catch (error) {
        endStream(call, error);
      }
    };
  });
}

const alarmNames: Readonly<Record<number, string>> = {
  [AlarmType.NOSPACE]: 'NOSPACE',
  [AlarmType.CORRUPT]: 'CORRUPT',
};

function status({ member }: ServiceContext, { serverVersion }: MaintenanceDeps): Buffer {
  const { cluster, store, consensus, alarms, quota } = member;
  const faults: string[] = [];
  if (consensus.lead === None) faults.push(errors.NoLeader.message);
  for (const { memberId, alarm } of alarms.get(AlarmType.NONE)) {
    const whose = memberId === 0n ? '' : `memberID:${memberId} `;
    faults.push(`${whose}alarm:${alarmNames[alarm] ?? String(alarm)}`);
  }
  const { enabled, targetVersion } = cluster.downgrade;
  const dbSize = BASE_BYTES + store.sizeBytes;
  return StatusResponse.encode({
    header: undefined,
    version: serverVersion,
    leader: consensus.lead,
    raftIndex: consensus.committed,
    raftAppliedIndex: member.applied.index,
    raftTerm: member.term,
    dbSize,
    dbSizeInUse: dbSize,
    dbSizeQuota: quota.limitBytes,
    isLearner: cluster.isLocalLearner,
    storageVersion: cluster.version === undefined ? '' : formatVersion(cluster.version),
    downgradeInfo: { enabled, targetVersion },
    errors: faults,
  });
}

/** Requests are served meanwhile. The store frees space in the background, and the call waits for that. */
async function defragment(
  { member }: ServiceContext,
  call: UnaryCall,
  { logger, health }: Pick<MaintenanceDeps, 'logger' | 'health'>,
): Promise<void> {
  if (member.config.featureGates.get('StopGRPCServiceOnDefrag') === true) health.setServing(false);
  logger.info('starting defragment');
  const startedMs = member.clock.now();
  member.metrics.disk.defragInflight = 1;
  try {
    await member.engine.compactFiles();
    logger.info('finished defragment');
    call.respond(EMPTY);
  } catch (error) {
    logger.warn('failed to defragment', { error: String(error) });
    call.fail(GrpcCode.Unknown, reasonOf(error));
  } finally {
    health.setServing(true);
    member.metrics.disk.defragInflight = 0;
    member.metrics.disk.backendDefrag.observe((member.clock.now() - startedMs) / 1000);
  }
}

function moveLeader({ member }: ServiceContext, call: UnaryCall, target: bigint): void {
  if (!member.isLeader) throw errors.NotLeader;
  const transferee = member.cluster.member(target);
  if (transferee === undefined || transferee.isLearner) throw errors.BadLeaderTransferee;
  const deadline = member.clock.now() + member.config.requestTimeoutMs;
  member.consensus.transferLeader(target);
  const look = (): void => {
    if (member.consensus.lead === target) call.respond(EMPTY);
    else if (member.clock.now() > deadline)
      call.fail(GrpcCode.Unknown, 'etcdserver: request timed out, leader transfer took too long');
    else if (!call.ended) member.scheduler.after(LEADER_POLL_MS, look);
  };
  look();
}

/** Waits for a slot. Rejects if the call ends first. */
function inTurn(call: UnaryCall | StreamCall, slots: Slots, abandon?: () => void): Promise<Slot> {
  return new Promise((resolve, reject) => {
    let leave = (): void => undefined;
    call.onCancel = () => {
      leave();
      reject(CANCELED);
    };
    leave = slots.take((slot) => {
      call.onCancel = undefined;
      resolve(slot);
    }, abandon);
  });
}

/** Sends no faster than the client reads. */
async function sendSnapshot(
  { member }: ServiceContext,
  call: StreamCall,
  { exportSnapshot, logger }: MaintenanceDeps,
  slots: Slots,
): Promise<void> {
  const slot = await inTurn(call, slots, () => {
    endStream(call, NOT_TAKEN);
    call.onCancel?.('fault');
  });
  const startedMs = member.clock.now();
  try {
    const snapshot = await exportSnapshot();
    logger.info('sending database snapshot to client', { 'total-bytes': snapshot.totalBytes });
    for await (const response of snapshotResponses(snapshot)) {
      if (call.ended) break;
      if (!call.write(SnapshotResponse.encode(response))) await whenWritable(call);
      slot.used();
    }
    call.end();
  } finally {
    member.metrics.disk.backendSnapshot.observe((member.clock.now() - startedMs) / 1000);
    slot.release();
  }
}
