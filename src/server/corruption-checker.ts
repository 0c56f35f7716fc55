import { hex } from '../lib/text.ts';
import type { StoreHash } from '../mvcc/hash.ts';
import type { Logger } from '../ports/logger.ts';
import type { RemoteHash } from '../ports/peer-client.ts';
import { errors } from '../wire/errors.ts';
import { AlarmRequest, AlarmRequestAlarmAction, AlarmType } from '../wire/gen/etcdserverpb.ts';
import { hashStore } from './hash-store.ts';
import type { Member } from './member.ts';
import { RaftRequestField } from './raft-request.ts';

/** Member id of the alarm when it is unknown which member is corrupt. */
const WHOLE_CLUSTER = 0n;

export interface CorruptionCheckerOptions {
  readonly member: Member;
  /** Requests the hash of another member's store at a revision. Rejects as `PeerClient.hashKv`. */
  readonly remoteHash: (peerUrls: readonly string[], revision: number) => Promise<RemoteHash>;
  readonly logger: Logger;
}

interface PeerAnswer {
  readonly id: bigint;
  readonly peerUrls: readonly string[];
  readonly answer: RemoteHash | Error;
}

/**
 * Compares the data of the members by hash, like etcd: before a member starts to serve, periodically, and after
 * compactions. Equal histories have equal hashes. So a difference means that a member is corrupt. The CORRUPT alarm
 * then stops all writes.
 */
export class CorruptionChecker {
  readonly #options: CorruptionCheckerOptions;
  readonly #stops: (() => void)[] = [];
  #checking = false;
  #stopped = false;
  /** The hashes of compactions up to this revision are equal on all members. */
  #checkedRevision = 0;

  constructor(options: CorruptionCheckerOptions) {
    this.#options = options;
  }

  /** Starts the periodic checks that are configured. */
  start(): void {
    const { member, logger } = this.#options;
    const { scheduler, config } = member;
    if (config.corruptCheckTimeMs > 0) {
      logger.info('enabled corruption checking', {
        'local-member-id': member.memberIdText,
        interval: `${config.corruptCheckTimeMs}ms`,
      });
      this.#stops.push(
        scheduler.every(config.corruptCheckTimeMs, () => this.#asLeader(() => this.periodic())),
      );
    }
    if (config.featureGates.get('CompactHashCheck') === true) {
      const compare = (): void => this.#asLeader(() => this.compactions());
      this.#stops.push(scheduler.every(config.compactHashCheckTimeMs, compare));
    }
  }

  stop(): void {
    this.#stopped = true;
    for (const stop of this.#stops) stop();
  }

  /**
   * The initial check, before clients are served.
   *
   * @returns false if the data of this member differs from that of another member
   */
  async initial(): Promise<boolean> {
    const { member, logger } = this.#options;
    const local = { 'local-member-id': member.memberIdText };
    logger.info('starting initial corruption check', local);
    const own = await hashStore(member, 0);
    const known = {
      ...local,
      'local-member-revision': own.revision,
      'local-member-compact-revision': own.compactRevision,
      'local-member-hash': own.hash,
    };
    let isEqual = true;
    for (const { id, peerUrls, answer } of await this.#askPeers(own.revision)) {
      const fields = { ...known, 'remote-peer-id': hex(id), 'remote-peer-endpoints': peerUrls };
      if (answer instanceof Error) {
        logger.warn(requestFailure(answer), { ...fields, error: answer.message });
        continue;
      }
      if (answer.hash === own.hash) continue;
      const compared = {
        ...fields,
        'remote-peer-revision': answer.revision,
        'remote-peer-compact-revision': answer.compactRevision,
        'remote-peer-hash': answer.hash,
      };
      if (answer.compactRevision === own.compactRevision) {
        logger.warn('found different hash values from remote peer', compared);
        isEqual = false;
      } else logger.warn('found different compact revision values from remote peer', compared);
    }
    if (isEqual) logger.info('initial corruption checking passed; no corruption', local);
    return isEqual;
  }

  /** As leader: no member may be ahead of it, and members with the same compact revision must have the same hash. */
  async periodic(): Promise<void> {
    const { member, logger } = this.#options;
    const first = await hashStore(member, 0);
    const peers = await this.#askPeers(first.revision);
    await new Promise<void>((resolve, reject) => {
      member.read({ readable: resolve, failed: reject });
    });
    const second = await hashStore(member, 0);
    const suspects: bigint[] = [];
    if (isChanged(first, second)) {
      logger.warn('found hash mismatch', { first, second });
      suspects.push(member.identity.memberId);
    }
    let checked = 0;
    for (const { id, answer } of peers) {
      if (answer instanceof Error) continue;
      checked += 1;
      const fault = faultOf(answer, first, second);
      if (fault === undefined) continue;
      logger.warn(fault, {
        'leader-revision': second.revision,
        'leader-compact-revision': second.compactRevision,
        'leader-hash': first.hash,
        'follower-peer-id': hex(id),
        'follower-revision': answer.revision,
        'follower-compact-revision': answer.compactRevision,
        'follower-hash': answer.hash,
      });
      suspects.push(id);
    }
    const [suspect] = suspects;
    if (suspect !== undefined) this.#alarm(suspect);
    logger.info('finished peer corruption check', { 'number-of-peers-checked': checked });
  }

  /** As leader: compares the hashes of compactions, newest first, until one is found that all members still have. */
  async compactions(): Promise<void> {
    const { member, logger } = this.#options;
    logger.info('starting compact hash check', { 'local-member-id': member.memberIdText });
    const unchecked = member.compactor.hashes
      .all()
      .filter(({ revision }) => revision > this.#checkedRevision)
      .toReversed();
    let count = 0;
    for (const hash of unchecked) {
      count += 1;
      const peers = await this.#askPeers(hash.revision);
      if (peers.length > 0 && this.#compareCompaction(hash, peers)) break;
    }
    logger.info('finished compaction hash check', { 'number-of-hashes-checked': count });
  }

  /** @returns whether older compactions need no check */
  #compareCompaction(own: StoreHash, peers: readonly PeerAnswer[]): boolean {
    const { member, logger } = this.#options;
    const leader = {
      'leader-id': member.memberIdText,
      'leader-revision': own.revision,
      'leader-compact-revision': own.compactRevision,
      'leader-hash': own.hash,
    };
    const holders = new Map<number, bigint[]>([[own.hash, [member.identity.memberId]]]);
    let checked = 0;
    for (const { id, answer } of peers) {
      const skipped = skipReason(answer, own);
      if (skipped !== undefined || answer instanceof Error) {
        logger.warn("skipped peer's hash", { ...leader, 'peer-id': hex(id), reason: skipped });
        continue;
      }
      checked += 1;
      holders.set(answer.hash, [...(holders.get(answer.hash) ?? []), id]);
    }
    if (holders.size === 1) return this.#agreed(own, checked, peers.length);
    const quorum = Math.floor((peers.length + 1) / 2) + 1;
    const majority = [...holders].find(([, ids]) => ids.length >= quorum)?.[0];
    if (majority === undefined) {
      logger.error(
        'the hashes of a compaction differ, and no hash has a majority; the corrupt members are unknown',
        leader,
      );
      this.#alarm(WHOLE_CLUSTER);
    }
    for (const [hash, ids] of holders) {
      if (hash === majority) continue;
      logger.error('the hashes of a compaction differ', {
        ...leader,
        'peer-hash': hash,
        'peer-ids': ids.map(hex),
        'quorum-exist': majority !== undefined,
      });
      if (majority !== undefined) for (const id of ids) this.#alarm(id);
    }
    return true;
  }

  #agreed(own: StoreHash, checked: number, peers: number): boolean {
    const { logger } = this.#options;
    const fields = {
      'number-of-peers-checked': checked,
      'number-of-peers': peers,
      revision: own.revision,
      'compact-revision': own.compactRevision,
    };
    if (checked < peers) {
      logger.warn('skipped revision in compaction hash check; was not able to check all peers', fields);
      return false;
    }
    logger.info('successfully checked hash on whole cluster', fields);
    this.#checkedRevision = Math.max(this.#checkedRevision, own.revision);
    return true;
  }

  #askPeers(revision: number): Promise<PeerAnswer[]> {
    const { member, remoteHash, logger } = this.#options;
    const others = member.cluster
      .members()
      .filter(({ id, peerUrls }) => id !== member.identity.memberId && peerUrls.length > 0);
    return Promise.all(
      others.map(async ({ id, peerUrls }) => {
        const answer = await remoteHash(peerUrls, revision).catch((error: unknown) =>
          error instanceof Error ? error : new Error(String(error)),
        );
        if (answer instanceof Error)
          logger.warn('failed hash kv request', {
            'local-member-id': member.memberIdText,
            'requested-revision': revision,
            'remote-peer-endpoint': peerUrls.join(),
            error: answer.message,
          });
        return { id, peerUrls, answer };
      }),
    );
  }

  #asLeader(check: () => Promise<void>): void {
    const { member, logger } = this.#options;
    if (this.#checking || this.#stopped || !member.isLeader || !member.isServing) return;
    this.#checking = true;
    check()
      .catch((error: unknown) => logger.warn('failed to check hash KV', { error: String(error) }))
      .finally(() => {
        this.#checking = false;
      });
  }

  #alarm(memberId: bigint): void {
    const { member, logger } = this.#options;
    if (this.#stopped || member.alarms.isRaised(AlarmType.CORRUPT)) return;
    logger.error('raising the CORRUPT alarm', { 'member-id': hex(memberId) });
    const body = AlarmRequest.encode({
      action: AlarmRequestAlarmAction.ACTIVATE,
      memberId,
      alarm: AlarmType.CORRUPT,
    });
    const failed = (error: Error): void =>
      logger.error('failed to raise the CORRUPT alarm', { error: error.message });
    member.propose(RaftRequestField.alarm, body, undefined, { settled: () => undefined, failed });
  }
}

/** Whether the leader's own store has two different hashes at the same revision. */
function isChanged(first: StoreHash, second: StoreHash): boolean {
  return (
    first.hash !== second.hash &&
    first.revision === second.revision &&
    first.compactRevision === second.compactRevision
  );
}

function faultOf(answer: RemoteHash, first: StoreHash, second: StoreHash): string | undefined {
  if (answer.revision > second.revision)
    return "revision from follower must be less than or equal to leader's";
  if (answer.compactRevision > second.compactRevision)
    return "compact revision from follower must be less than or equal to leader's";
  if (answer.compactRevision === first.compactRevision && answer.hash !== first.hash)
    return 'same compact revision then hashes must match';
  return undefined;
}

function skipReason(answer: RemoteHash | Error, own: StoreHash): string | undefined {
  if (answer instanceof Error) return 'no response';
  return answer.compactRevision === own.compactRevision
    ? undefined
    : `the peer's compact revision ${answer.compactRevision} is not the leader's ${own.compactRevision}`;
}

function requestFailure(error: Error): string {
  if (error === errors.FutureRev) return 'cannot fetch hash from slow remote peer';
  if (error === errors.Compacted) return 'cannot fetch hash from remote peer; local member is behind';
  if (error === errors.ClusterIDMismatch) return 'cluster ID mismatch';
  return 'cannot fetch hash from remote peer';
}
