import type { SeededRandom } from '../../lib/seeded-random.ts';
import type { WatchReceiver } from '../../mvcc/watcher.ts';
import type { Column } from '../../ports/engine.ts';
import type { Interceptor } from '../network.ts';
import type { DurableLog } from '../sim-log.ts';

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
  /** Damages a log as its process dies. */
  readonly corruptLog?: (log: DurableLog) => void;
  /** Changes what is written to a store. */
  readonly tamperWith?: (
    random: SeededRandom,
  ) => <T extends Written>(operations: readonly T[]) => readonly T[];
  /** Reads do not wait until they may be answered. */
  readonly readsAtOnce?: boolean;
  /** Stands between the hub and a watcher. */
  readonly watchThrough?: (receiver: WatchReceiver, random: SeededRandom) => WatchReceiver;
}
