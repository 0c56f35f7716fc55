import type { SeededRandom } from '../../lib/seeded-random.ts';
import type { WatchReceiver } from '../../mvcc/watcher.ts';
import type { Column } from '../../ports/engine.ts';
import type { LogDisk } from '../../ports/log-disk.ts';
import type { PeerAnswers } from '../../ports/peer-client.ts';
import type { WholeMember } from '../../server/whole-member.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Config } from '../../config/config.ts';
import type { LogContents } from '../../ports/log-store.ts';
import type { Interceptor } from '../network.ts';

interface Written {
  readonly column: Column;
  readonly key: Buffer;
  readonly value: Buffer | undefined;
}

/**
 * A bug as a member might have it, put between the production classes and the simulated machine, to show that the
 * checks would find it.
 */
export interface PlantedBug {
  readonly name: string;
  /** Forges what members say to each other. */
  readonly intercept?: Interceptor;
  /** Changes what raft is restarted from. */
  readonly misreadsLog?: (
    contents: LogContents,
    applied: { readonly index: number; readonly term: number },
  ) => LogContents;
  /** Throws where a log is not good enough for it. */
  readonly refusesLog?: (directory: string, disk: LogDisk) => void;
  /** New segments are made of released ones, with the records in them. */
  readonly recyclesSegments?: boolean;
  /** Changes what is written to a store. */
  readonly tamperWith?: (
    random: SeededRandom,
  ) => <T extends Written>(operations: readonly T[]) => readonly T[];
  /** Reads do not wait until they may be answered. */
  readonly readsAtOnce?: boolean;
  /** Forges what a member answers to other members' questions. */
  readonly answers?: (answers: PeerAnswers) => PeerAnswers;
  /** Replaces the clock of the members. */
  readonly clock?: (clock: Clock) => Clock;
  /** Stops a part of a member that has just started. */
  readonly disables?: (whole: WholeMember) => void;
  /** Changes the configuration of the members. */
  readonly configures?: (config: Config) => Config;
  /** Stores get damaged, and the members must raise the CORRUPT alarm. */
  readonly mustAlarm?: boolean;
  /** Stands between the hub and a watcher. */
  readonly watchThrough?: (receiver: WatchReceiver, random: SeededRandom) => WatchReceiver;
}
