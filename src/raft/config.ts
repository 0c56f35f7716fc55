import type { Logger } from '../ports/logger.ts';
import { ReadOnlyOption } from './read-only.ts';
import type { LogStorage } from './storage.ts';
import { NoLimit, None, isLocalTarget } from './types.ts';

/** Configuration of a node. Sizes are in bytes, times in ticks. */
export interface RaftConfig {
  /** Never 0 or one of the two highest 64-bit numbers. */
  readonly id: bigint;
  /**
   * Ticks without a leader after which a node may campaign; each election waits a random time from this up to
   * twice as long. At least `heartbeatTick` + 1, ten times as much is sensible.
   */
  readonly electionTick: number;
  /** Ticks between a leader's heartbeats; at least 1. */
  readonly heartbeatTick: number;
  readonly storage: LogStorage;
  /** A uniform random integer in [0, bound), to randomize election timeouts. */
  readonly randomInt: (bound: number) => number;
  readonly logger: Logger;
  /** Applied index of the application after a restart; 0 for the index before the first one of the storage. */
  readonly applied?: number;
  /** Storage writes as messages to be acknowledged, instead of `advance`. */
  readonly asyncStorageWrites?: boolean;
  /** Limit of the entries in one append message; 0 for one entry in each message. Default: no limit. */
  readonly maxSizePerMessage?: number;
  /** Limit of entries handed out and not yet applied; 0, the default, for the same as `maxSizePerMessage`. */
  readonly maxCommittedSizePerReady?: number;
  /** Limit of a leader's uncommitted payload, beyond which proposals are dropped; 0, the default, for none. */
  readonly maxUncommittedSize?: number;
  /** Limit of append messages in flight to one follower; at least 1. */
  readonly maxInflightMessages: number;
  /** Limit of payload in flight to one follower, not below `maxSizePerMessage`; 0, the default, for none. */
  readonly maxInflightBytes?: number;
  /** A leader steps down when it has not heard from a quorum for an election timeout. */
  readonly checkQuorum?: boolean;
  /** Ask whether an election could be won before raising the term (Raft thesis, 9.6). */
  readonly preVote?: boolean;
  /**
   * When followers stop hearing from their leader, they campaign one after the other by the order of their ids, and not
   * after random times. This only holds with `preVote`, and only for the first campaign after a leader was lost: if it
   * fails, the next one comes after a random time. Default: false.
   */
  readonly orderedElections?: boolean;
  /** Lease-based reads need `checkQuorum`. Default: safe. */
  readonly readOnlyOption?: ReadOnlyOption;
  /** Followers drop proposals instead of forwarding them to the leader. */
  readonly disableProposalForwarding?: boolean;
  /**
   * Configuration changes are not checked against the present configuration when proposed. Only for an
   * application that checks them itself: an invalid change that is applied ends the process.
   */
  readonly disableConfChangeValidation?: boolean;
  /** A leader that is removed, or made a learner, becomes a follower at once. */
  readonly stepDownOnRemoval?: boolean;
}

/** The configuration with every default filled in. */
export type ResolvedConfig = Required<RaftConfig>;

/** @throws RangeError that says which setting is out of its range */
export function resolveConfig(config: RaftConfig): ResolvedConfig {
  const maxSizePerMessage = config.maxSizePerMessage ?? NoLimit;
  const resolved: ResolvedConfig = {
    applied: 0,
    asyncStorageWrites: false,
    checkQuorum: false,
    preVote: false,
    orderedElections: false,
    readOnlyOption: ReadOnlyOption.Safe,
    disableProposalForwarding: false,
    disableConfChangeValidation: false,
    stepDownOnRemoval: false,
    ...config,
    maxSizePerMessage,
    maxCommittedSizePerReady: orDefault(config.maxCommittedSizePerReady, maxSizePerMessage),
    maxUncommittedSize: orDefault(config.maxUncommittedSize, NoLimit),
    maxInflightBytes: orDefault(config.maxInflightBytes, NoLimit),
  };
  check(resolved.id !== None, 'cannot use none as id');
  check(!isLocalTarget(resolved.id), 'cannot use local target as id');
  check(resolved.heartbeatTick > 0, 'heartbeat tick must be greater than 0');
  check(resolved.electionTick > resolved.heartbeatTick, 'election tick must be greater than heartbeat tick');
  check(resolved.maxInflightMessages > 0, 'max inflight messages must be greater than 0');
  check(resolved.maxInflightBytes >= maxSizePerMessage, 'max inflight bytes must be >= max message size');
  check(
    resolved.readOnlyOption !== ReadOnlyOption.LeaseBased || resolved.checkQuorum,
    'CheckQuorum must be enabled when ReadOnlyOption is ReadOnlyLeaseBased',
  );
  return resolved;
}

function orDefault(limit: number | undefined, fallback: number): number {
  return limit === undefined || limit === 0 ? fallback : limit;
}

function check(condition: boolean, message: string): void {
  if (!condition) throw new RangeError(message);
}
