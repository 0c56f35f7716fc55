import type { SeededRandom } from '../../lib/seeded-random.ts';
import type { WatchReceiver } from '../../mvcc/watcher.ts';
import type { Column } from '../../ports/engine.ts';
import type { LogDisk } from '../../ports/log-disk.ts';
import type { PeerService } from '../../ports/peer-client.ts';
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
 * A bug that a member might have, injected between the production classes and the simulated machine. It shows that the
 * checkers would find it.
 */
export interface PlantedBug {
  readonly name: string;
  /** Changes messages between members. */
  readonly intercept?: Interceptor;
  /** Changes the log contents at a restart. */
  readonly misreadsLog?: (
    contents: LogContents,
    applied: { readonly index: number; readonly term: number },
  ) => LogContents;
  /** Throws if it refuses a log. */
  readonly refusesLog?: (directory: string, disk: LogDisk) => void;
  /** Reuses released segments with their records. */
  readonly recyclesSegments?: boolean;
  /** Changes writes to a store. */
  readonly tamperWith?: (
    random: SeededRandom,
  ) => <T extends Written>(operations: readonly T[]) => readonly T[];
  /** Reads do not wait for ReadIndex. */
  readonly readsAtOnce?: boolean;
  /** Changes the responses to requests of other members. */
  readonly service?: (service: PeerService) => PeerService;
  /** In place of chance for a member, from 0 to below `bound`; undefined leaves it to chance. */
  readonly randomInt?: (bound: number, name: string) => number | undefined;
  /** Replaces the clock of the members. */
  readonly clock?: (clock: Clock) => Clock;
  /** Stops a part of a member that has just started. */
  readonly disables?: (whole: WholeMember) => void;
  /** Changes the configuration of the members. */
  readonly configures?: (config: Config) => Config;
  /** Damages stores, so that the members must raise the CORRUPT alarm. */
  readonly mustAlarm?: boolean;
  /** Changes the events between the hub and a watcher. */
  readonly watchThrough?: (receiver: WatchReceiver, random: SeededRandom) => WatchReceiver;
}
