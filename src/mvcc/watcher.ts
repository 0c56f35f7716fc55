import type { CatchUp } from './catch-up.ts';
import type { KeyRange } from './key-range.ts';
import type { EventBatch } from './watch-event.ts';

/** The options of a watcher. */
export interface WatchOptions {
  readonly range: KeyRange;
  /** The first revision to deliver; 0 for all changes from now on. */
  readonly startRevision: number;
  readonly prevKv: boolean;
  readonly noPut: boolean;
  readonly noDelete: boolean;
}

/**
 * Receives the events of a watcher. Calls to the hub during a delivery are deferred until it is over; see `WatchHub`.
 */
export interface WatchReceiver {
  /** Receives events. Returns false if its outlet is now full: nothing more is delivered until `WatchHub.writable`. */
  deliver(batch: EventBatch): boolean;
  /** The next revisions are compacted. Nothing more is delivered. */
  compacted(compactRevision: number): void;
}

/** The stream that several watchers share. */
export class WatchOutlet {
  isFull = false;
  /** Watchers that must catch up when the stream is writable. */
  readonly parked = new Set<Watcher>();
}

/**
 * - `synced`: has all events up to now, or starts in the future
 * - `behind`: a `CatchUp` reads events for it
 * - `parked`: behind, and its outlet is full
 * - `compacted`, `closed`: gets nothing more
 */
export type WatcherState = 'synced' | 'behind' | 'parked' | 'compacted' | 'closed';

export class Watcher {
  readonly options: WatchOptions;
  readonly outlet: WatchOutlet;
  readonly receiver: WatchReceiver;
  /**
   * The next revision to deliver: earlier ones were delivered or are before its start. It may be outdated for a synced
   * watcher.
   */
  nextRevision: number;
  state: WatcherState = 'closed';
  /** Set while it is behind. */
  catchUp: CatchUp | undefined;
  /** Its position in the list of the index. Only the index uses it. */
  slot = -1;

  constructor(options: WatchOptions, outlet: WatchOutlet, receiver: WatchReceiver, nextRevision: number) {
    this.options = options;
    this.outlet = outlet;
    this.receiver = receiver;
    this.nextRevision = nextRevision;
  }
}
