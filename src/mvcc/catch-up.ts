import { assert } from '../lib/assert.ts';
import type { Steps } from '../lib/steps.ts';
import type { EngineIterator } from '../ports/engine.ts';
import { KeyValueView } from '../wire/key-value.ts';
import { decodeEventRow } from './event-row.ts';
import { encodeRevision, readMain } from './revision.ts';
import type { MvccStore } from './store.ts';
import { deliver, prepare, type WatchCounters } from './watch-delivery.ts';
import { WatchEvent } from './watch-event.ts';
import { WatchIndex } from './watch-index.ts';
import type { Watcher } from './watcher.ts';

const CHUNK_ROWS = 128;
/** A slice ends when it holds this many bytes of events. */
const SLICE_BYTES = 256 * 1024;

/**
 * Reads the history for a group of watchers that are behind, in slices of whole revisions. The memory used is at most
 * one slice, or one revision if that is larger.
 */
export class CatchUp {
  /** Number of changes that the hub had seen at the last step. Only the hub uses it. */
  changesAtStep: number;
  readonly #store: MvccStore;
  readonly #index = new WatchIndex();
  readonly #view = new KeyValueView();
  /** The next revision to read. */
  #position: number;
  /** All events before this revision are delivered. It is less than the position while a revision is read in part. */
  #undelivered: number;
  #rows: EngineIterator | undefined;
  /** The last revision that `#rows` can see. */
  #upTo = 0;
  #chunk: Buffer[] = [];
  #at = 0;
  /** Read and not delivered yet. */
  #events: WatchEvent[] = [];
  #bytes = 0;
  /** How many of them are ready to be delivered. */
  #prepared = 0;
  /** Changes looked at since the last delivery. */
  #looked = 0;

  constructor(store: MvccStore, position: number, changes: number) {
    this.#store = store;
    this.changesAtStep = changes;
    this.#position = position;
    this.#undelivered = position;
  }

  /** Watchers that start before this revision cannot join. */
  get position(): number {
    return this.#position;
  }

  get size(): number {
    return this.#index.size;
  }

  /** Events read and not delivered yet. */
  get pendingEvents(): number {
    return this.#events.length;
  }

  /** Nothing is left to read. */
  get isDone(): boolean {
    return this.#rows === undefined && this.#position > this.#store.committedRevision;
  }

  join(watcher: Watcher): void {
    assert(watcher.nextRevision >= this.#position, 'a watcher joins before its first event is read');
    watcher.catchUp = this;
    watcher.state = 'behind';
    this.#index.add(watcher);
  }

  leave(watcher: Watcher): void {
    assert(watcher.catchUp === this, 'a watcher leaves the catch-up that it joined');
    watcher.catchUp = undefined;
    this.#index.delete(watcher);
  }

  /** Releases all watchers. Each one has the revision to resume from. Returns those that are not closed. */
  release(): Watcher[] {
    const watchers = this.#index.watchers();
    for (const watcher of watchers) {
      this.#note(watcher);
      this.leave(watcher);
    }
    this.close();
    return watchers.filter(({ state }) => state !== 'closed');
  }

  /** Moves back for a watcher that is further behind, but not past events that the other watchers still need. */
  rewind(position: number): void {
    for (const watcher of this.#index.watchers()) this.#note(watcher);
    this.#restart(Math.min(position, this.#undelivered));
  }

  close(): void {
    this.#restart(this.#undelivered);
  }

  /**
   * Removes the watchers whose next revision is compacted.
   *
   * @returns these watchers, which are not notified yet
   */
  takeCompacted(compactRevision: number): readonly Watcher[] {
    if (this.#undelivered >= compactRevision) return [];
    const lost: Watcher[] = [];
    for (const watcher of this.#index.watchers()) {
      if (watcher.nextRevision >= compactRevision) continue;
      this.leave(watcher);
      lost.push(watcher);
    }
    this.#restart(compactRevision);
    return lost;
  }

  /**
   * Reads about `count` changes, and delivers them if they are whole revisions. The delivery of very many events takes
   * several steps, in which no watcher may join or leave.
   *
   * @returns watchers whose outlet is full. They have left, and have the revision to resume from.
   */
  *step(count: number, counters: WatchCounters, eventsPerStep: number): Steps<readonly Watcher[]> {
    this.#rows ??= this.#open();
    let visited = 0;
    for (;;) {
      const key = this.#chunk[this.#at];
      const row = this.#chunk[this.#at + 1];
      if (key === undefined || row === undefined) {
        // A revision with very many changes is read in several steps, and delivered as one.
        if (visited >= count) {
          this.#prepare();
          return [];
        }
        if (this.#fill(count - visited)) continue;
        this.#rows.close();
        this.#rows = undefined;
        return yield* this.#deliver(this.#upTo, counters, eventsPerStep);
      }
      const main = readMain(key, 0);
      if (main >= this.#position && this.#hasEnough(count))
        return yield* this.#deliver(main - 1, counters, eventsPerStep);
      this.#look(main, row);
      this.#position = main + 1;
      this.#at += 2;
      visited += 1;
    }
  }

  #hasEnough(count: number): boolean {
    return this.#looked >= count || this.#bytes >= SLICE_BYTES;
  }

  /** Updates a watcher's next revision to what was delivered here. */
  #note(watcher: Watcher): void {
    watcher.nextRevision = Math.max(watcher.nextRevision, this.#undelivered);
  }

  #open(): EngineIterator {
    this.#upTo = this.#store.committedRevision;
    return this.#store.engine.iterate('event', {
      gte: encodeRevision(this.#position, 0),
      lt: encodeRevision(this.#upTo + 1, 0),
    });
  }

  #fill(most: number): boolean {
    this.#chunk = this.#rows?.next(Math.min(most, CHUNK_ROWS)) ?? [];
    this.#at = 0;
    return this.#chunk.length > 0;
  }

  #look(main: number, row: Buffer): void {
    this.#looked += 1;
    const { isDelete, isCreate, previous, kv } = decodeEventRow(row);
    const groups = this.#index.match(this.#view.readKey(kv));
    if (groups.length === 0) return;
    // The previous value is what a read at the revision before returns: nothing if that revision is compacted.
    const readable = !isCreate && previous !== undefined && main - 1 >= this.#store.compactRevision;
    const superseded = readable ? { mod: previous.main, sub: previous.sub, kv: undefined } : undefined;
    const event = new WatchEvent(main, isDelete, kv, superseded);
    this.#index.gather(groups, event);
    this.#events.push(event);
    this.#bytes += event.bytes;
  }

  *#deliver(revision: number, counters: WatchCounters, eventsPerStep: number): Steps<readonly Watcher[]> {
    this.#prepare();
    this.#clear(revision + 1);
    const pace = { responsesPerStep: Infinity, eventsPerStep };
    const blocked = yield* deliver(this.#index, revision, counters, pace);
    const open = blocked.filter(({ state }) => state !== 'closed');
    for (const watcher of open) this.leave(watcher);
    return open;
  }

  #prepare(): void {
    prepare(this.#store.engine, this.#events.slice(this.#prepared));
    this.#prepared = this.#events.length;
  }

  #restart(position: number): void {
    this.#rows?.close();
    this.#rows = undefined;
    this.#chunk = [];
    this.#at = 0;
    this.#index.discard();
    this.#clear(position);
  }

  #clear(position: number): void {
    this.#events = [];
    this.#prepared = 0;
    this.#bytes = 0;
    this.#looked = 0;
    this.#position = position;
    this.#undelivered = position;
  }
}
