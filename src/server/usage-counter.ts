import type { UsageSettings } from '../config/config.ts';
import type { Steps } from '../lib/steps.ts';
import type { StoreEvent } from '../mvcc/store.ts';
import { PrefixLabels } from '../usage/prefix-labels.ts';
import { canScan, type PrefixCounts, PrefixUsage } from '../usage/prefix-usage.ts';
import type { Member } from './member.ts';

/** More events at once are added in later turns of the event loop. */
const EVENTS_PER_TURN = 1024;
/** Between two steps of a scan, which leaves most of the processor to requests. A million keys take half a minute. */
const SCAN_PAUSE_MS = 5;
/** Until the store can be scanned: it is closed for a moment, or a large change is written. */
const RETRY_MS = 100;

/** Counts keys, bytes, writes and watchers of a member by prefix. */
export class UsageCounter {
  readonly #member: Member;
  readonly #usage: PrefixUsage;
  /** Events that are committed and not added yet. Of the first ones, those before a place are added. */
  readonly #waiting: (readonly StoreEvent[])[] = [];
  #waitingFrom = 0;
  #scan: Steps<void> | undefined;
  /** The generation of the store that was scanned, or is to be scanned next. */
  #generation: number;
  #isScheduled = false;
  #stopped = false;

  /** To be made before the member starts. */
  constructor(member: Member, { prefixes, maxPrefixes }: UsageSettings) {
    this.#member = member;
    this.#usage = new PrefixUsage(new PrefixLabels(prefixes, maxPrefixes));
    this.#generation = member.storeGeneration;
    member.onEvents((events) => this.#add(events));
    member.compactor.onRemoved = (key, size) => this.#usage.removed(key, size);
    member.hub.onWatcher = (range, change) => this.#usage.watching(range, change);
    this.#scheduleScan(0);
  }

  /** Whether keys and bytes are known. They are not after a start, and after an exchange of the store. */
  get isComplete(): boolean {
    this.#checkGeneration();
    return this.#usage.isComplete && this.#waiting.length === 0;
  }

  counts(): PrefixCounts[] {
    return this.#usage.counts();
  }

  stop(): void {
    this.#stopped = true;
    this.#endScan();
  }

  #add(events: readonly StoreEvent[]): void {
    this.#checkGeneration();
    if (this.#waiting.length === 0 && events.length <= EVENTS_PER_TURN) {
      this.#usage.add(events);
      return;
    }
    this.#waiting.push(events);
    if (this.#waiting.length === 1) this.#member.scheduler.soon(() => this.#addNext());
  }

  #addNext(): void {
    for (let left = EVENTS_PER_TURN; left > 0;) {
      const events = this.#waiting[0];
      if (events === undefined) return;
      const from = this.#waitingFrom;
      const to = Math.min(events.length, from + left);
      this.#usage.add(events, from, to);
      left -= to - from;
      this.#waitingFrom = to;
      if (to < events.length) break;
      this.#waiting.shift();
      this.#waitingFrom = 0;
    }
    if (this.#waiting.length > 0) this.#member.scheduler.soon(() => this.#addNext());
  }

  /** After an exchange of the store, everything is counted again. */
  #checkGeneration(): void {
    if (this.#generation === this.#member.storeGeneration) return;
    this.#generation = this.#member.storeGeneration;
    this.#endScan();
    this.#usage.forget();
    this.#scheduleScan(0);
  }

  #endScan(): void {
    this.#scan?.return();
    this.#scan = undefined;
  }

  #scheduleScan(delayMs: number): void {
    if (this.#isScheduled || this.#stopped) return;
    this.#isScheduled = true;
    this.#member.scheduler.after(delayMs, () => {
      this.#isScheduled = false;
      if (!this.#stopped) this.#step();
    });
  }

  #step(): void {
    const { store, isReopening } = this.#member;
    if (isReopening) {
      this.#scheduleScan(RETRY_MS);
      return;
    }
    this.#checkGeneration();
    if (this.#scan === undefined) {
      if (this.#waiting.length > 0 || !canScan(store)) {
        this.#scheduleScan(RETRY_MS);
        return;
      }
      this.#scan = this.#usage.scan(store);
    }
    if (this.#scan.next().done === true) this.#scan = undefined;
    else this.#scheduleScan(SCAN_PAUSE_MS);
  }
}
