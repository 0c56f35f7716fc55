import { assert } from '../lib/assert.ts';
import { IntervalMap, NO_END } from '../lib/interval-map.ts';
import { type KeyRange, keyString } from './key-range.ts';
import type { EventForm, WatchEvent } from './watch-event.ts';
import type { Watcher, WatchOptions } from './watcher.ts';

/** Watchers of one range with the same options, which get the same events. */
export class WatchForm implements EventForm {
  readonly prevKv: boolean;
  readonly noPut: boolean;
  readonly noDelete: boolean;
  readonly watchers: Watcher[] = [];

  constructor({ prevKv, noPut, noDelete }: WatchOptions) {
    this.prevKv = prevKv;
    this.noPut = noPut;
    this.noDelete = noDelete;
  }

  matches({ prevKv, noPut, noDelete }: WatchOptions): boolean {
    return this.prevKv === prevKv && this.noPut === noPut && this.noDelete === noDelete;
  }
}

/** The watchers of one range, and the events gathered for them. */
export class WatchGroup {
  readonly start: string;
  /** Empty for a single key. */
  readonly end: string;
  readonly forms: WatchForm[] = [];
  events: WatchEvent[] = [];
  /** Whether any watcher wants previous values. */
  wantsPrevious = false;
  /** Some watcher does not. */
  wantsPlain = false;

  constructor(start: string, end: string) {
    this.start = start;
    this.end = end;
  }
}

/** Finds watchers by the keys that they watch. */
export class WatchIndex {
  readonly #keys = new Map<string, WatchGroup>();
  readonly #ranges = new IntervalMap<WatchGroup>();
  readonly #matched: WatchGroup[] = [];
  #touched: WatchGroup[] = [];
  #size = 0;

  /** Number of watchers. */
  get size(): number {
    return this.#size;
  }

  add(watcher: Watcher): void {
    assert(watcher.slot < 0, 'a watcher is in one index at a time');
    const group = this.#group(watcher.options.range);
    const form = formOf(group, watcher.options);
    watcher.slot = form.watchers.length;
    form.watchers.push(watcher);
    this.#size += 1;
  }

  delete(watcher: Watcher): void {
    const { range } = watcher.options;
    const start = keyString(range.start);
    const end = endString(range);
    const group = range.single ? this.#keys.get(start) : this.#ranges.get(start, end);
    const form = group?.forms.find((candidate) => candidate.matches(watcher.options));
    assert(
      group !== undefined && form?.watchers[watcher.slot] === watcher,
      'a watcher is in the slot that it was added to',
    );
    const last = form.watchers.pop();
    if (last !== undefined && last !== watcher) {
      form.watchers[watcher.slot] = last;
      last.slot = watcher.slot;
    }
    watcher.slot = -1;
    this.#size -= 1;
    if (form.watchers.length > 0) return;
    group.forms.splice(group.forms.indexOf(form), 1);
    noteWishes(group);
    if (group.forms.length > 0) return;
    if (range.single) this.#keys.delete(start);
    else this.#ranges.delete(start, end);
  }

  /** The groups that watch a key. The next call reuses the array. */
  match(key: Buffer): readonly WatchGroup[] {
    const matched = this.#matched;
    matched.length = 0;
    if (this.#size === 0) return matched;
    const name = keyString(key);
    const group = this.#keys.get(name);
    if (group !== undefined) matched.push(group);
    if (this.#ranges.size > 0) this.#ranges.stab(name, matched);
    return matched;
  }

  /** Gathers an event for groups returned by `match`. */
  gather(groups: readonly WatchGroup[], event: WatchEvent): void {
    for (const group of groups) {
      if (group.events.length === 0) this.#touched.push(group);
      group.events.push(event);
      if (group.wantsPrevious) event.previousWanted = true;
      if (group.wantsPlain) event.plainWanted = true;
    }
  }

  /** The groups with events gathered since the last call. The caller empties their lists. */
  takeTouched(): readonly WatchGroup[] {
    const touched = this.#touched;
    this.#touched = [];
    return touched;
  }

  /** Drops the gathered events. */
  discard(): void {
    for (const group of this.takeTouched()) group.events = [];
  }

  /** All current watchers. */
  watchers(): Watcher[] {
    const all: Watcher[] = [];
    for (const group of this.#keys.values()) appendAll(group, all);
    for (const group of this.#ranges.values()) appendAll(group, all);
    return all;
  }

  #group(range: KeyRange): WatchGroup {
    const start = keyString(range.start);
    const end = endString(range);
    const known = range.single ? this.#keys.get(start) : this.#ranges.get(start, end);
    if (known !== undefined) return known;
    const group = new WatchGroup(start, end);
    if (range.single) this.#keys.set(start, group);
    else this.#ranges.add(start, end, group);
    return group;
  }
}

function endString(range: KeyRange): string {
  return range.end === undefined ? NO_END : keyString(range.end);
}

function formOf(group: WatchGroup, options: WatchOptions): WatchForm {
  const known = group.forms.find((candidate) => candidate.matches(options));
  if (known !== undefined) return known;
  const form = new WatchForm(options);
  group.forms.push(form);
  noteWishes(group);
  return form;
}

function noteWishes(group: WatchGroup): void {
  group.wantsPrevious = group.forms.some(({ prevKv }) => prevKv);
  group.wantsPlain = group.forms.some(({ prevKv }) => !prevKv);
}

function appendAll(group: WatchGroup, all: Watcher[]): void {
  for (const form of group.forms) for (const watcher of form.watchers) all.push(watcher);
}
