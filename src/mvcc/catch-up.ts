import { assert } from '../lib/assert.ts';
import type { EngineIterator } from '../ports/engine.ts';
import { KeyValueView } from '../wire/key-value.ts';
import { decodeEventRow } from './event-row.ts';
import { encodeRevision, readMain } from './revision.ts';
import type { MvccStore } from './store.ts';
import { deliver, readPrevious, type WatchCounters } from './watch-delivery.ts';
import { WatchEvent } from './watch-event.ts';
import { WatchIndex } from './watch-index.ts';
import type { Watcher } from './watcher.ts';

const CHUNK_ROWS = 128;
/** A slice ends once it has gathered this much. */
const SLICE_BYTES = 256 * 1024;

/**
 * Reads the history once for a number of watchers that are behind, in slices of whole revisions. Memory is bounded by
 * a slice, or by the largest revision where that is larger.
 */
export class CatchUp {
  /** How many changes the hub had seen at the last step; owned by it. */
  changesAtStep: number;
  readonly #store: MvccStore;
  readonly #index = new WatchIndex();
  readonly #view = new KeyValueView();
  /** The next revision to look at. */
  #position: number;
  /** All events before it are with the watchers; less than the position while a revision is half read. */
  #undelivered: number;
  #rows: EngineIterator | undefined;
  /** The last revision that `#rows` can see. */
  #upTo = 0;
  #chunk: Buffer[] = [];
  #at = 0;
  /** Gathered and not delivered yet. */
  #events: WatchEvent[] = [];
  #bytes = 0;
  /** Changes looked at since the last delivery. */
  #looked = 0;

  constructor(store: MvccStore, position: number, changes: number) {
    this.#store = store;
    this.changesAtStep = changes;
    this.#position = position;
    this.#undelivered = position;
  }

  /** Watchers that begin before it cannot join. */
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
    assert(watcher.nextRevision >= this.#position, 'a watcher joins before its first event is passed');
    watcher.catchUp = this;
    watcher.state = 'behind';
    this.#index.add(watcher);
  }

  leave(watcher: Watcher): void {
    assert(watcher.catchUp === this, 'a watcher leaves where it has joined');
    watcher.catchUp = undefined;
    this.#index.delete(watcher);
  }

  /** Lets all watchers go, each knowing where to go on. Returns those that are not closed. */
  disband(): Watcher[] {
    const watchers = this.#index.watchers();
    for (const watcher of watchers) {
      this.#note(watcher);
      this.leave(watcher);
    }
    this.close();
    return watchers.filter(({ state }) => state !== 'closed');
  }

  /** Goes back, for a watcher that is further behind: at least to where the others still have to be given events. */
  rewind(position: number): void {
    for (const watcher of this.#index.watchers()) this.#note(watcher);
    this.#restart(Math.min(position, this.#undelivered));
  }

  close(): void {
    this.#restart(this.#undelivered);
  }

  /**
   * Takes out the watchers whose next revision is compacted.
   *
   * @returns them; they are not told yet
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
   * Looks at about `count` changes and delivers what it has, if that is whole revisions.
   *
   * @returns watchers whose outlet is full, which have left and know where to go on
   */
  step(count: number, counters: WatchCounters): readonly Watcher[] {
    this.#rows ??= this.#open();
    let visited = 0;
    for (;;) {
      const key = this.#chunk[this.#at];
      const row = this.#chunk[this.#at + 1];
      if (key === undefined || row === undefined) {
        // A revision with very many changes is read in several steps, and delivered as one.
        if (visited >= count) return [];
        if (this.#fill(count - visited)) continue;
        this.#rows.close();
        this.#rows = undefined;
        return this.#deliver(this.#upTo, counters);
      }
      const main = readMain(key, 0);
      if (main >= this.#position && this.#hasEnough(count)) return this.#deliver(main - 1, counters);
      this.#look(main, row);
      this.#position = main + 1;
      this.#at += 2;
      visited += 1;
    }
  }

  #hasEnough(count: number): boolean {
    return this.#looked >= count || this.#bytes >= SLICE_BYTES;
  }

  /** Tells a watcher what it has been given here. */
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
    // As a read at the revision before would find it: not at all if that is compacted.
    const readable = !isCreate && previous !== undefined && main - 1 >= this.#store.compactRevision;
    const superseded = readable ? { mod: previous.main, sub: previous.sub, kv: undefined } : undefined;
    const event = new WatchEvent(main, isDelete, kv, superseded);
    this.#index.gather(groups, event);
    this.#events.push(event);
    this.#bytes += event.bytes;
  }

  #deliver(revision: number, counters: WatchCounters): readonly Watcher[] {
    readPrevious(
      this.#store.engine,
      this.#events.filter(({ previousWanted }) => previousWanted),
    );
    this.#clear(revision + 1);
    const blocked = deliver(this.#index, revision, counters);
    const open = blocked.filter(({ state }) => state !== 'closed');
    for (const watcher of open) this.leave(watcher);
    return open;
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
    this.#bytes = 0;
    this.#looked = 0;
    this.#position = position;
    this.#undelivered = position;
  }
}
