import type { KeyRange } from '../../mvcc/key-range.ts';
import type { EventBatch } from '../../mvcc/watch-event.ts';
import type { WatchHub } from '../../mvcc/watch-hub.ts';
import type { WatchOutlet, WatchReceiver, Watcher } from '../../mvcc/watcher.ts';
import { WatchResponse } from '../../wire/gen/etcdserverpb.ts';
import type { Event } from '../../wire/gen/mvccpb.ts';

/** Events of whole revisions, and the last revision that is complete with them. */
export interface KeyEventBatch {
  readonly revision: number;
  readonly events: readonly Event[];
}

export interface KeyEventsOptions {
  readonly range: KeyRange;
  readonly startRevision: number;
  readonly noPut?: boolean;
}

/** Events of some keys, read batch by batch. At most one batch is kept for a reader that does not read. */
export class KeyEvents implements WatchReceiver {
  readonly #hub: WatchHub;
  readonly #outlet: WatchOutlet;
  readonly #watcher: Watcher;
  #batch: EventBatch | undefined;
  #taker: ((batch: KeyEventBatch | undefined) => void) | undefined;
  #ended = false;
  #closed = false;

  constructor(hub: WatchHub, { range, startRevision, noPut = false }: KeyEventsOptions) {
    this.#hub = hub;
    this.#outlet = hub.open();
    const options = { range, startRevision, noPut, noDelete: false, prevKv: false };
    this.#watcher = hub.watch(options, this.#outlet, this);
  }

  /**
   * Waits for the next batch. Resolves to undefined when closed, or when the next events are compacted. Only one call
   * at a time.
   */
  next(): Promise<KeyEventBatch | undefined> {
    const batch = this.#batch;
    if (batch !== undefined) {
      this.#batch = undefined;
      return Promise.resolve(decode(batch));
    }
    if (this.#ended) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      this.#taker = resolve;
      if (this.#outlet.isFull) this.#hub.writable(this.#outlet);
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#hub.remove(this.#watcher);
    this.#hub.close(this.#outlet);
    this.#end();
  }

  deliver(batch: EventBatch): boolean {
    if (this.#taker === undefined) this.#batch = batch;
    else this.#take(decode(batch));
    return false;
  }

  compacted(): void {
    this.#end();
  }

  #end(): void {
    this.#ended = true;
    if (this.#taker !== undefined) this.#take(undefined);
  }

  #take(batch: KeyEventBatch | undefined): void {
    const taker = this.#taker;
    this.#taker = undefined;
    taker?.(batch);
  }
}

function decode({ revision, fields }: EventBatch): KeyEventBatch {
  return { revision, events: WatchResponse.decode(Buffer.concat(fields)).events };
}
