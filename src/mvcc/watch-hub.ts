import { assert } from '../lib/assert.ts';
import type { Steps } from '../lib/steps.ts';
import { CatchUp } from './catch-up.ts';
import type { KeyRange } from './key-range.ts';
import type { MvccStore, StoreEvent } from './store.ts';
import { deliver, prepare, readPrevious } from './watch-delivery.ts';
import { WatchEvent } from './watch-event.ts';
import { WatchIndex } from './watch-index.ts';
import { DEFAULT_PACING, type WatchPacing } from './watch-pacing.ts';
import { type WatchOptions, WatchOutlet, type WatchReceiver, Watcher, type WatcherState } from './watcher.ts';

/** Catch-ups that read the history at the same time. Further watchers that are behind share them. */
const MAX_CATCH_UPS = 4;
/** A watcher this close ahead of a running catch-up waits for it, instead of starting another one. */
const NEAR_REVISIONS = 1024;
const MAX_PAUSE_MS = 16;
/** So much gathered is delivered without waiting further. */
const MAX_GATHERED_BYTES = 2 ** 20;

/**
 * All watchers with their keys, and how far each one has seen the history.
 *
 * Watchers that have seen everything get the events of each applied batch at once, in one response. After many
 * responses a short pause follows, in which events are gathered. So under load a response carries many events, instead
 * of one response for each event and watcher.
 *
 * A watcher whose outlet is full, or that starts in the past, is behind. The history is read for it in slices, one in
 * each `step`, until it has caught up.
 *
 * Very many events at once, as of a delete of many keys, are gathered in steps, each a `step` of the hub. What is
 * announced meanwhile waits behind them.
 *
 * A delivery to very many watchers, or of very many events, takes several steps too. Calls that move watchers between
 * indexes are deferred until its last step.
 *
 * Both ways are exact: each event goes to each of its watchers once, in order, and all events of a revision together.
 *
 * A receiver may call `watch`, `remove`, `writable`, `close` and `isCurrent` during a delivery: a write to one stream
 * may find that another one is writable or closed. No watcher moves between indexes during a delivery. Such calls are
 * deferred until the delivery is over, when it is known which outlets are full.
 */
export class WatchHub {
  /** Called when a watcher is behind: `step` must be called until it returns false. */
  onBacklog: (() => void) | undefined;
  /** Called after many responses: `flush` must be called after this many milliseconds. */
  onPause: ((pauseMs: number) => void) | undefined;
  /** Called when a watcher of the range is added (1) or removed (-1). */
  onWatcher: ((range: KeyRange, change: 1 | -1) => void) | undefined;
  readonly counters = { watchers: 0, slowWatchers: 0, outlets: 0, eventsTotal: 0, responses: 0 };

  #store: MvccStore;
  readonly #synced = new WatchIndex();
  readonly #catchUps: CatchUp[] = [];
  /** Watchers that are behind, while the store is closed. */
  #suspended: Watcher[] | undefined;
  /** The newest revision announced. */
  #revision: number;
  /** Events for synced watchers are gathered up to it, or delivered. */
  #gatheredRevision: number;
  /** Announced after it and not gathered yet: whole revisions in order, of the first ones those from a place on. */
  readonly #waiting: (readonly StoreEvent[])[] = [];
  #waitingFrom = 0;
  /** Changes since the start, to read a history faster than it grows. */
  #changes = 0;
  /** Size of events for synced watchers that wait for the end of a pause. */
  #gatheredBytes = 0;
  #gatheredEvents = 0;
  #pausing = false;
  /** A receiver is being called. */
  #delivering = false;
  /** The delivery that is continued by the next `step`. */
  #delivery: Steps<void> | undefined;
  /** Calls deferred until the end of the delivery, in order. */
  readonly #deferred: (() => void)[] = [];

  readonly #pacing: Required<WatchPacing>;

  constructor(store: MvccStore, pacing: WatchPacing = {}) {
    this.#store = store;
    this.#pacing = { ...DEFAULT_PACING, ...pacing };
    this.#revision = store.committedRevision;
    this.#gatheredRevision = this.#revision;
  }

  /** The newest revision that was announced to watchers. */
  get revision(): number {
    return this.#revision;
  }

  /** Events that wait for the end of a pause, or for the rest of the revision that is read. */
  get pendingEvents(): number {
    let events = this.#gatheredEvents;
    for (const catchUp of this.#catchUps) events += catchUp.pendingEvents;
    for (const waiting of this.#waiting) events += waiting.length;
    return events - this.#waitingFrom;
  }

  /** Opens an outlet for a new stream. */
  open(): WatchOutlet {
    this.counters.outlets += 1;
    return new WatchOutlet();
  }

  /** The stream is closed. Its watchers must be removed before. */
  close(outlet: WatchOutlet): void {
    assert(outlet.parked.size === 0, 'an outlet is closed after its watchers are removed');
    this.counters.outlets -= 1;
  }

  /** Adds a watcher. Nothing is delivered before this returns. */
  watch(options: WatchOptions, outlet: WatchOutlet, receiver: WatchReceiver): Watcher {
    const next = options.startRevision > 0 ? options.startRevision : this.#revision + 1;
    const watcher = new Watcher(options, outlet, receiver, next);
    watcher.state = 'behind';
    this.counters.watchers += 1;
    this.onWatcher?.(options.range, 1);
    this.counters.slowWatchers += 1;
    this.#afterDelivery(() => this.#assign(watcher));
    return watcher;
  }

  /** Removes a watcher. Nothing is delivered to it any more. */
  remove(watcher: Watcher): void {
    const { state, outlet } = watcher;
    if (state === 'closed') return;
    watcher.state = 'closed';
    this.counters.watchers -= 1;
    this.onWatcher?.(watcher.options.range, -1);
    if (isSlow(state)) this.counters.slowWatchers -= 1;
    outlet.parked.delete(watcher);
    this.#afterDelivery(() => this.#detach(watcher));
  }

  /**
   * Whether the watcher has received everything up to the current revision, and has started by then. Always false
   * during a delivery.
   */
  isCurrent(watcher: Watcher): boolean {
    if (this.#delivering) return false;
    this.#deliverAll();
    if (this.#waiting.length > 0) return false;
    return watcher.state === 'synced' && watcher.options.startRevision <= this.#revision;
  }

  /**
   * A full outlet is writable again.
   *
   * @param then called when its watchers can resume: at once, or after the current delivery
   */
  writable(outlet: WatchOutlet, then?: () => void): void {
    this.#afterDelivery(() => {
      outlet.isFull = false;
      const parked = [...outlet.parked];
      outlet.parked.clear();
      for (const watcher of parked) this.#assign(watcher);
      then?.();
    });
  }

  /** Announces the events of an applied batch, in order. They are in the store already. */
  notify(events: readonly StoreEvent[]): void {
    assert(!this.#delivering, 'events are announced between deliveries');
    const last = events[events.length - 1];
    if (last === undefined) return;
    assert((events[0]?.main ?? 0) > this.#revision, 'each revision is announced once, in order');
    this.#revision = last.main;
    // One large revision was made over many turns.
    const isOne = events[0]?.main === last.main;
    this.#changes += isOne ? Math.min(events.length, this.#pacing.largeEvents) : events.length;
    const isLarge = events.length > this.#pacing.largeEvents && this.#synced.size > 0;
    if (this.#waiting.length > 0 || this.#underWay() || isLarge) {
      const isFirst = !this.#hasBacklog;
      this.#waiting.push(events);
      if (isFirst) this.onBacklog?.();
      return;
    }
    this.#gatheredRevision = last.main;
    if (this.#synced.size === 0) return;
    const wanted = this.#gather(events).filter(({ previousWanted }) => previousWanted);
    // Now, as a compaction may remove them before the events are delivered.
    if (wanted.length > 0) readPrevious(this.#store.engine, wanted);
    this.#deliverUnlessPausing();
  }

  /** Delivers the gathered events: the pause of `onPause` is over, or a caller cannot wait for its end. */
  flush(isPauseOver = false): void {
    if (isPauseOver) this.#pausing = false;
    if (!this.#delivering) this.#deliver();
  }

  /** Delivers the gathered events at once, however many watchers they have. */
  #deliverAll(): void {
    while (this.#underWay()) this.#continueDelivery();
    this.flush();
    while (this.#underWay()) this.#continueDelivery();
  }

  #deliverUnlessPausing(): void {
    if (!this.#pausing || this.#gatheredBytes >= MAX_GATHERED_BYTES) this.#deliver();
  }

  /** Gathers some of the events that wait. */
  #gatherWaiting(count: number): void {
    const events = this.#waiting[0];
    if (events === undefined) return;
    const to = this.#waitingFrom + count;
    prepare(this.#store.engine, this.#gather(events.slice(this.#waitingFrom, to)));
    this.#waitingFrom = to;
    if (to < events.length) return;
    this.#waiting.shift();
    this.#waitingFrom = 0;
    this.#gatheredRevision = events[events.length - 1]?.main ?? this.#gatheredRevision;
    this.#deliverUnlessPausing();
  }

  /** All that waits, and at once, as the store is about to be closed. */
  #gatherAllWaiting(): void {
    this.#deliverAll();
    while (this.#waiting.length > 0) {
      this.#gatherWaiting(Infinity);
      while (this.#underWay()) this.#continueDelivery();
    }
    this.#deliverAll();
  }

  #gather(events: readonly StoreEvent[]): WatchEvent[] {
    const gathered: WatchEvent[] = [];
    for (const event of events) {
      const groups = this.#synced.match(event.key);
      if (groups.length === 0) continue;
      const watchEvent = new WatchEvent(event.main, event.isDelete, event.kv, event.previous);
      this.#synced.gather(groups, watchEvent);
      this.#gatheredBytes += event.kv.length;
      gathered.push(watchEvent);
    }
    this.#gatheredEvents += gathered.length;
    return gathered;
  }

  #deliver(): void {
    // Watchers see whole revisions.
    if (this.#gatheredEvents === 0 || this.#waitingFrom > 0 || this.#underWay()) return;
    this.#gatheredEvents = 0;
    this.#gatheredBytes = 0;
    this.#delivery = this.#deliveryOf(this.#gatheredRevision);
    this.#continueDelivery();
    if (this.#underWay()) this.onBacklog?.();
  }

  #continueDelivery(): void {
    const delivery = this.#delivery;
    if (delivery === undefined) return;
    this.#exclusively(() => {
      if (delivery.next().done === true) this.#delivery = undefined;
    });
  }

  *#deliveryOf(revision: number): Steps<void> {
    const before = this.counters.responses;
    const blocked = yield* deliver(this.#synced, revision, this.counters, this.#pacing);
    for (const watcher of blocked) {
      if (watcher.state === 'closed') continue;
      this.#synced.delete(watcher);
      this.counters.slowWatchers += 1;
      park(watcher);
    }
    const made = this.counters.responses - before;
    const pauseMs = Math.min(MAX_PAUSE_MS, Math.floor(made / this.#pacing.responsesPerPauseMs));
    if (pauseMs === 0 || this.#pausing || this.onPause === undefined) return;
    this.#pausing = true;
    this.onPause(pauseMs);
  }

  /**
   * Continues a delivery that takes several steps. Otherwise gathers events that wait, and reads on for those who are
   * behind, one history after the other.
   *
   * @returns whether events still wait, or some are still behind and have room
   */
  step(): boolean {
    if (this.#underWay()) {
      this.#continueDelivery();
      // The pause may have ended during the delivery.
      if (!this.#pausing) this.#deliver();
      return this.#hasBacklog;
    }
    for (let left = this.#pacing.stepChanges; left > 0 && this.#waiting.length > 0;) {
      const before = (this.#waiting[0]?.length ?? 0) - this.#waitingFrom;
      this.#gatherWaiting(left);
      left -= before;
      if (this.#underWay()) return true;
    }
    const catchUp = this.#catchUps.shift();
    if (catchUp === undefined) return this.#hasBacklog;
    this.#catchUps.push(catchUp);
    // At least twice the changes since its last step, so that the history does not grow faster than it is read.
    const count = Math.max(this.#pacing.stepChanges, 2 * (this.#changes - catchUp.changesAtStep));
    catchUp.changesAtStep = this.#changes;
    this.#delivery = this.#advance(catchUp, count);
    this.#continueDelivery();
    return this.#hasBacklog;
  }

  /** A delivery is not over yet. */
  #underWay(): boolean {
    return this.#delivery !== undefined;
  }

  get #hasBacklog(): boolean {
    return this.#underWay() || this.#catchUps.length + this.#waiting.length > 0;
  }

  /** The store is about to be closed for a moment. Its history is read again after `restored`. */
  suspend(): void {
    this.#gatherAllWaiting();
    const suspended = [...this.#catchUps].flatMap((catchUp) => this.#endCatchUp(catchUp));
    this.#suspended = suspended;
  }

  /** The store was replaced by a newer one. All watchers resume in its history. */
  restored(store: MvccStore): void {
    this.#gatherAllWaiting();
    const synced = this.#synced.watchers();
    const seen = this.#revision;
    assert(store.committedRevision >= seen, 'a store is replaced by one that is not older');
    const behind = [...this.#catchUps].flatMap((catchUp) => this.#endCatchUp(catchUp));
    behind.push(...(this.#suspended ?? []));
    this.#suspended = undefined;
    this.#store = store;
    this.#revision = store.committedRevision;
    this.#gatheredRevision = this.#revision;
    for (const watcher of synced) {
      watcher.nextRevision = Math.max(watcher.nextRevision, seen + 1);
      if (watcher.nextRevision > this.#revision) continue;
      this.#synced.delete(watcher);
      this.counters.slowWatchers += 1;
      behind.push(watcher);
    }
    for (const watcher of behind) this.#assign(watcher);
  }

  /** Runs `change` now, or after the current delivery. */
  #afterDelivery(change: () => void): void {
    if (this.#delivering || this.#underWay()) this.#deferred.push(change);
    else change();
  }

  /** Runs a delivery. Until it is over, watchers move between indexes only by the result of `deliver`. */
  #exclusively(deliver: () => void): void {
    assert(!this.#delivering, 'one delivery is over before the next begins');
    this.#delivering = true;
    try {
      deliver();
    } finally {
      this.#delivering = false;
    }
    // Each call may start another delivery, which then runs the remaining deferred calls, perhaps in a later step.
    while (!this.#underWay()) {
      const change = this.#deferred.shift();
      if (change === undefined) return;
      change();
    }
  }

  /** Assigns a slow watcher that is in no index. */
  #assign(watcher: Watcher): void {
    if (watcher.state === 'closed') return;
    if (watcher.nextRevision > this.#revision) {
      this.counters.slowWatchers -= 1;
      this.#sync(watcher);
    } else if (watcher.outlet.isFull) park(watcher);
    else this.#assignCatchUp(watcher);
  }

  /** Removes a closed watcher from its index. */
  #detach(watcher: Watcher): void {
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

  /** Assigns the watcher to a catch-up. */
  #assignCatchUp(watcher: Watcher): void {
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
      const isFirst = !this.#hasBacklog;
      this.#catchUps.push(catchUp);
      if (isFirst) this.onBacklog?.();
      return catchUp;
    }
    let earliest: CatchUp | undefined;
    for (const catchUp of this.#catchUps) {
      if (earliest === undefined || catchUp.position < earliest.position) earliest = catchUp;
    }
    assert(earliest !== undefined, 'there are catch-ups when no further one can be added');
    earliest.rewind(position);
    return earliest;
  }

  *#advance(catchUp: CatchUp, count: number): Steps<void> {
    const { compactRevision } = this.#store;
    for (const watcher of catchUp.takeCompacted(compactRevision)) {
      // The notification of one watcher may close another one.
      if (watcher.state === 'closed') continue;
      watcher.state = 'compacted';
      this.counters.slowWatchers -= 1;
      watcher.receiver.compacted(compactRevision);
    }
    this.#dropIfEmpty(catchUp);
    if (catchUp.size === 0) return;
    for (const watcher of yield* catchUp.step(count, this.counters, this.#pacing.eventsPerStep))
      if (watcher.state !== 'closed') park(watcher);
    if (catchUp.isDone) {
      for (const watcher of this.#endCatchUp(catchUp)) {
        this.counters.slowWatchers -= 1;
        this.#sync(watcher);
      }
    } else this.#dropIfEmpty(catchUp);
  }

  /** Ends a catch-up. Its watchers are then in no index, and have the revision to resume from. */
  #endCatchUp(catchUp: CatchUp): Watcher[] {
    const watchers = catchUp.release();
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

/** The watcher waits until its outlet is writable. It is in no index. */
function park(watcher: Watcher): void {
  watcher.state = 'parked';
  watcher.outlet.parked.add(watcher);
}
