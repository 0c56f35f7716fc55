import type { CatchUp } from './catch-up.ts';
import type { KeyRange } from './key-range.ts';
import type { EventBatch } from './watch-event.ts';

/** What one watcher wants to see. */
export interface WatchOptions {
  readonly range: KeyRange;
  /** The first revision wanted; 0 for what happens from now on. */
  readonly startRevision: number;
  readonly prevKv: boolean;
  readonly noPut: boolean;
  readonly noDelete: boolean;
}

/** Where a watcher's events go. What it asks of the hub meanwhile is done once the delivery is over; see `WatchHub`. */
export interface WatchReceiver {
  /** Takes events. False if its outlet is full now: nothing more comes until `WatchHub.writable`. */
  deliver(batch: EventBatch): boolean;
  /** The revisions it was to see next are compacted: nothing more comes. */
  compacted(compactRevision: number): void;
}

/** What several watchers send through: one stream. */
export class WatchOutlet {
  isFull = false;
  /** Watchers with events to catch up on once there is room. */
  readonly parked = new Set<Watcher>();
}

/**
 * - `synced`: has all events up to now, or begins in the future
 * - `behind`: a `CatchUp` reads events for it
 * - `parked`: behind, and its outlet is full
 * - `compacted`, `closed`: gets nothing more
 */
export type WatcherState = 'synced' | 'behind' | 'parked' | 'compacted' | 'closed';

export class Watcher {
  readonly options: WatchOptions;
  readonly outlet: WatchOutlet;
  readonly receiver: WatchReceiver;
  /** Events before this revision are not for it: seen, or before its start. Where it lags it may be out of date. */
  nextRevision: number;
  state: WatcherState = 'closed';
  /** While behind. */
  catchUp: CatchUp | undefined;
  /** Its place in its form's list; owned by the index. */
  slot = -1;

  constructor(options: WatchOptions, outlet: WatchOutlet, receiver: WatchReceiver, nextRevision: number) {
    this.options = options;
    this.outlet = outlet;
    this.receiver = receiver;
    this.nextRevision = nextRevision;
  }
}
