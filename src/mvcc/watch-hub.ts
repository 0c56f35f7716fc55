import { assert } from '../lib/assert.ts';
import { CatchUp } from './catch-up.ts';
import type { MvccStore, StoreEvent } from './store.ts';
import { deliver, readPrevious } from './watch-delivery.ts';
import { WatchEvent } from './watch-event.ts';
import { WatchIndex } from './watch-index.ts';
import { type WatchOptions, WatchOutlet, type WatchReceiver, Watcher, type WatcherState } from './watcher.ts';

/** Histories read at the same time. More watchers that are behind share them. */
const MAX_CATCH_UPS = 4;
/** A watcher this few revisions ahead of a history that is read waits for it, instead of having its own. */
const NEAR_REVISIONS = 1024;
/** Changes looked at in one step of one history. */
const STEP_CHANGES = 512;
/** A pause lasts a millisecond for so many responses made before it. */
const RESPONSES_PER_PAUSE_MS = 64;
const MAX_PAUSE_MS = 16;
/** So much gathered is delivered without waiting further. */
const MAX_GATHERED_BYTES = 2 ** 20;

/**
 * Who watches what, and who has seen how much.
 *
 * Watchers that have seen everything get the events of each applied batch at once, in one response. Where that makes
 * many responses a short pause follows, in which events are gathered: under load a response then carries many events,
 * instead of each event costing both ends a response for each of its watchers.
 *
 * A watcher whose outlet is full, and one that begins in the past, is behind: the history is read for it in slices,
 * one a `step`, until it has caught up.
 *
 * Both ways are exact: each event goes to each of its watchers once, in order, and all events of a revision together.
 *
 * A receiver may call `watch`, `remove`, `writable`, `close` and `isCurrent` while it is given events: a write to one
 * stream may show that another has room, or is gone. During a delivery no watcher changes its place. What such calls
 * ask for is put off until the delivery is over, when each outlet is known to be full or not.
 */
export class WatchHub {
  /** Someone is behind: `step` is to be called until it returns false. */
  onBacklog: (() => void) | undefined;
  /** Many responses were made: `flush` is to be called in so many milliseconds. */
  onPause: ((pauseMs: number) => void) | undefined;
  readonly counters = { watchers: 0, slowWatchers: 0, outlets: 0, eventsTotal: 0, responses: 0 };

  #store: MvccStore;
  readonly #synced = new WatchIndex();
  readonly #catchUps: CatchUp[] = [];
  /** While the store is closed: who is behind. */
  #suspended: Watcher[] | undefined;
  /** Synced watchers have seen everything up to it. */
  #revision: number;
  /** Changes since the start, to read a history faster than it grows. */
  #changes = 0;
  /** Of events for synced watchers that wait for the end of a pause. */
  #gatheredBytes = 0;
  #gatheredEvents = 0;
  #pausing = false;
  #delivering = false;
  /** Changes of places that were asked for during a delivery, in order. */
  readonly #putOff: (() => void)[] = [];

  readonly #responsesPerPauseMs: number;

  readonly #stepChanges: number;

  constructor(
    store: MvccStore,
    { responsesPerPauseMs = RESPONSES_PER_PAUSE_MS, stepChanges = STEP_CHANGES } = {},
  ) {
    this.#store = store;
    this.#stepChanges = stepChanges;
    this.#responsesPerPauseMs = responsesPerPauseMs;
    this.#revision = store.committedRevision;
  }

  /** The newest revision that watchers hear of. */
  get revision(): number {
    return this.#revision;
  }

  /** Events that wait: for the end of a pause, or of the revision that is read. */
  get pendingEvents(): number {
    let events = this.#gatheredEvents;
    for (const catchUp of this.#catchUps) events += catchUp.pendingEvents;
    return events;
  }

  /** A new stream of watchers. */
  open(): WatchOutlet {
    this.counters.outlets += 1;
    return new WatchOutlet();
  }

  /** The stream is gone; its watchers are to be removed as well. */
  close(outlet: WatchOutlet): void {
    assert(outlet.parked.size === 0, 'an outlet is closed after its watchers are removed');
    this.counters.outlets -= 1;
  }

  /** Begins to watch. Nothing is delivered before this returns. */
  watch(options: WatchOptions, outlet: WatchOutlet, receiver: WatchReceiver): Watcher {
    const next = options.startRevision > 0 ? options.startRevision : this.#revision + 1;
    const watcher = new Watcher(options, outlet, receiver, next);
    watcher.state = 'behind';
    this.counters.watchers += 1;
    this.counters.slowWatchers += 1;
    this.#afterDelivery(() => this.#place(watcher));
    return watcher;
  }

  /** Stops watching. Nothing is delivered any more. */
  remove(watcher: Watcher): void {
    const { state, outlet } = watcher;
    if (state === 'closed') return;
    watcher.state = 'closed';
    this.counters.watchers -= 1;
    if (isSlow(state)) this.counters.slowWatchers -= 1;
    outlet.parked.delete(watcher);
    this.#afterDelivery(() => this.#displace(watcher));
  }

  /**
   * Whether the watcher has been given everything up to the present, and began by then. During a delivery nobody is
   * known to have that yet.
   */
  isCurrent(watcher: Watcher): boolean {
    if (this.#delivering) return false;
    this.flush();
    return watcher.state === 'synced' && watcher.options.startRevision <= this.#revision;
  }

  /**
   * A full outlet has room again.
   *
   * @param then called once its watchers can go on: at once, or when the delivery under way is over
   */
  writable(outlet: WatchOutlet, then?: () => void): void {
    this.#afterDelivery(() => {
      outlet.isFull = false;
      const parked = [...outlet.parked];
      outlet.parked.clear();
      for (const watcher of parked) this.#place(watcher);
      then?.();
    });
  }

  /** Takes the events of an applied batch, in order. They are in the store. */
  notify(events: readonly StoreEvent[]): void {
    assert(!this.#delivering, 'events are announced between deliveries');
    const last = events[events.length - 1];
    if (last === undefined) return;
    assert((events[0]?.main ?? 0) > this.#revision, 'each revision is announced once, in order');
    this.#revision = last.main;
    this.#changes += events.length;
    if (this.#synced.size === 0) return;
    this.#gather(events);
    if (!this.#pausing || this.#gatheredBytes >= MAX_GATHERED_BYTES) this.#deliver();
  }

  /** Delivers what was gathered; the pause that `onPause` asked for is over, or somebody cannot wait for its end. */
  flush(isPauseOver = false): void {
    if (isPauseOver) this.#pausing = false;
    if (!this.#delivering) this.#deliver();
  }

  #gather(events: readonly StoreEvent[]): void {
    const wanted: WatchEvent[] = [];
    for (const event of events) {
      const groups = this.#synced.match(event.key);
      if (groups.length === 0) continue;
      const watchEvent = new WatchEvent(event.main, event.isDelete, event.kv, event.previous);
      this.#synced.gather(groups, watchEvent);
      this.#gatheredBytes += event.kv.length;
      this.#gatheredEvents += 1;
      if (watchEvent.previousWanted) wanted.push(watchEvent);
    }
    // Now, as a compaction may remove them before the events are delivered.
    if (wanted.length > 0) readPrevious(this.#store.engine, wanted);
  }

  #deliver(): void {
    if (this.#gatheredEvents === 0) return;
    this.#gatheredEvents = 0;
    this.#gatheredBytes = 0;
    const before = this.counters.responses;
    this.#exclusively(() => {
      for (const watcher of deliver(this.#synced, this.#revision, this.counters)) {
        if (watcher.state === 'closed') continue;
        this.#synced.delete(watcher);
        this.counters.slowWatchers += 1;
        park(watcher);
      }
    });
    const made = this.counters.responses - before;
    const pauseMs = Math.min(MAX_PAUSE_MS, Math.floor(made / this.#responsesPerPauseMs));
    if (pauseMs === 0 || this.#pausing || this.onPause === undefined) return;
    this.#pausing = true;
    this.onPause(pauseMs);
  }

  /**
   * Reads on for those who are behind, one history after the other.
   *
   * @returns whether some still are, and have room
   */
  step(): boolean {
    const catchUp = this.#catchUps.shift();
    if (catchUp === undefined) return false;
    this.#catchUps.push(catchUp);
    // Twice what came since its last turn, or a history might grow faster than it is read.
    const count = Math.max(this.#stepChanges, 2 * (this.#changes - catchUp.changesAtStep));
    catchUp.changesAtStep = this.#changes;
    this.#exclusively(() => this.#advance(catchUp, count));
    return this.#catchUps.length > 0;
  }

  /** The store is about to be closed for a moment: its history is read again after `restored`. */
  suspend(): void {
    this.flush();
    const suspended = [...this.#catchUps].flatMap((catchUp) => this.#disband(catchUp));
    this.#suspended = suspended;
  }

  /** The store was replaced by a newer one: all watchers go on in its history. */
  restored(store: MvccStore): void {
    this.flush();
    const synced = this.#synced.watchers();
    const seen = this.#revision;
    assert(store.committedRevision >= seen, 'a store is replaced by one that is not older');
    const behind = [...this.#catchUps].flatMap((catchUp) => this.#disband(catchUp));
    behind.push(...(this.#suspended ?? []));
    this.#suspended = undefined;
    this.#store = store;
    this.#revision = store.committedRevision;
    for (const watcher of synced) {
      watcher.nextRevision = Math.max(watcher.nextRevision, seen + 1);
      if (watcher.nextRevision > this.#revision) continue;
      this.#synced.delete(watcher);
      this.counters.slowWatchers += 1;
      behind.push(watcher);
    }
    for (const watcher of behind) this.#place(watcher);
  }

  /** Does it now, or once the delivery under way is over. */
  #afterDelivery(change: () => void): void {
    if (this.#delivering) this.#putOff.push(change);
    else change();
  }

  /** A delivery: until it is over no watcher changes its place but through what `deliver` says of it. */
  #exclusively(deliver: () => void): void {
    assert(!this.#delivering, 'one delivery is over before the next begins');
    this.#delivering = true;
    try {
      deliver();
    } finally {
      this.#delivering = false;
    }
    // Each change may end in another delivery, which then makes the rest of the changes.
    for (let change = this.#putOff.shift(); change !== undefined; change = this.#putOff.shift()) change();
  }

  /** Finds a place for a slow watcher that has none. */
  #place(watcher: Watcher): void {
    if (watcher.state === 'closed') return;
    if (watcher.nextRevision > this.#revision) {
      this.counters.slowWatchers -= 1;
      this.#sync(watcher);
    } else if (watcher.outlet.isFull) park(watcher);
    else this.#chase(watcher);
  }

  /** Takes a closed watcher out of the index that it is in. */
  #displace(watcher: Watcher): void {
    const { catchUp, slot } = watcher;
    if (catchUp !== undefined) {
      catchUp.leave(watcher);
      this.#dropIfEmpty(catchUp);
    } else if (slot >= 0) this.#synced.delete(watcher);
  }

  #sync(watcher: Watcher): void {
    watcher.state = 'synced';
    this.#synced.add(watcher);
  }

  /** Finds a history to read for the watcher. */
  #chase(watcher: Watcher): void {
    if (this.#suspended !== undefined) {
      this.#suspended.push(watcher);
      return;
    }
    const { nextRevision } = watcher;
    let nearest: CatchUp | undefined;
    for (const catchUp of this.#catchUps) {
      if (catchUp.position > nextRevision) continue;
      if (nearest === undefined || catchUp.position > nearest.position) nearest = catchUp;
    }
    const hasRoom = this.#catchUps.length < MAX_CATCH_UPS;
    const isNear = nearest !== undefined && nextRevision - nearest.position <= NEAR_REVISIONS;
    const chosen =
      nearest !== undefined && (isNear || !hasRoom) ? nearest : this.#begin(nextRevision, hasRoom);
    chosen.join(watcher);
  }

  #begin(position: number, hasRoom: boolean): CatchUp {
    if (hasRoom) {
      const catchUp = new CatchUp(this.#store, position, this.#changes);
      this.#catchUps.push(catchUp);
      if (this.#catchUps.length === 1) this.onBacklog?.();
      return catchUp;
    }
    let earliest: CatchUp | undefined;
    for (const catchUp of this.#catchUps) {
      if (earliest === undefined || catchUp.position < earliest.position) earliest = catchUp;
    }
    assert(earliest !== undefined, 'where no history can be added there are some');
    earliest.rewind(position);
    return earliest;
  }

  #advance(catchUp: CatchUp, count: number): void {
    const { compactRevision } = this.#store;
    for (const watcher of catchUp.takeCompacted(compactRevision)) {
      // What one is told may close another.
      if (watcher.state === 'closed') continue;
      watcher.state = 'compacted';
      this.counters.slowWatchers -= 1;
      watcher.receiver.compacted(compactRevision);
    }
    this.#dropIfEmpty(catchUp);
    if (catchUp.size === 0) return;
    for (const watcher of catchUp.step(count, this.counters)) park(watcher);
    if (catchUp.isDone) {
      for (const watcher of this.#disband(catchUp)) {
        this.counters.slowWatchers -= 1;
        this.#sync(watcher);
      }
    } else this.#dropIfEmpty(catchUp);
  }

  /** Ends the reading; the watchers are in no index then, and know what they have seen. */
  #disband(catchUp: CatchUp): Watcher[] {
    const watchers = catchUp.disband();
    this.#dropIfEmpty(catchUp);
    return watchers;
  }

  #dropIfEmpty(catchUp: CatchUp): void {
    if (catchUp.size > 0) return;
    catchUp.close();
    const at = this.#catchUps.indexOf(catchUp);
    if (at >= 0) this.#catchUps.splice(at, 1);
  }
}

function isSlow(state: WatcherState): boolean {
  return state === 'behind' || state === 'parked';
}

/** Waits for room; the watcher is in no index. */
function park(watcher: Watcher): void {
  watcher.state = 'parked';
  watcher.outlet.parked.add(watcher);
}
