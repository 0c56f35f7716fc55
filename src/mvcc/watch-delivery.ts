import type { Engine } from '../ports/engine.ts';
import { decodeEventRow, eventKeyValue } from './event-row.ts';
import { encodeRevision } from './revision.ts';
import { type EventBatch, makeBatches, type Superseded, type WatchEvent } from './watch-event.ts';
import type { WatchForm, WatchIndex } from './watch-index.ts';
import type { Watcher } from './watcher.ts';

/** Plain numbers for the metrics. */
export interface WatchCounters {
  /** Events given to watchers since the start, one for each watcher. */
  eventsTotal: number;
  /** Times that a watcher was given events. */
  responses: number;
}

/** Reads what the events' keys held before, where somebody wants it and nobody has it at hand. */
export function readPrevious(engine: Engine, events: readonly WatchEvent[]): void {
  const reading: WatchEvent[] = [];
  const keys: Buffer[] = [];
  for (const event of events) {
    const superseded = beforeRevision(engine, event.main, event.superseded);
    if (superseded === undefined) continue;
    if (superseded.kv !== undefined) event.previousKv = superseded.kv;
    else {
      reading.push(event);
      keys.push(encodeRevision(superseded.mod, superseded.sub));
    }
  }
  if (keys.length === 0) return;
  const rows = engine.getMany('event', keys);
  for (let at = 0; at < rows.length; at += 1) {
    const row = rows[at];
    const event = reading[at];
    if (row !== undefined && event !== undefined) event.previousKv = eventKeyValue(row);
  }
}

/** What the key held before a revision that may have changed it more than once: watchers see whole revisions. */
function beforeRevision(
  engine: Engine,
  main: number,
  superseded: Superseded | undefined,
): Superseded | undefined {
  let before = superseded;
  while (before?.mod === main) {
    const row = engine.get('event', encodeRevision(before.mod, before.sub));
    const { isCreate, previous } = row === undefined ? NOTHING_BEFORE : decodeEventRow(row);
    before =
      isCreate || previous === undefined
        ? undefined
        : { mod: previous.main, sub: previous.sub, kv: undefined };
  }
  return before;
}

const NOTHING_BEFORE = { isCreate: true, previous: undefined } as const;

/**
 * Gives the watchers of an index what was gathered for them.
 *
 * @param revision the last revision gathered: everything up to it has been looked at
 * @returns watchers whose outlet is full, each with the revision it has to go on from; they are still in the index
 */
export function deliver(index: WatchIndex, revision: number, counters: WatchCounters): readonly Watcher[] {
  const blocked: Watcher[] = [];
  for (const group of index.takeTouched()) {
    const { events } = group;
    group.events = [];
    for (const form of group.forms) deliverForm(form, form.select(events), { revision, counters, blocked });
  }
  return blocked;
}

interface Round {
  readonly revision: number;
  readonly counters: WatchCounters;
  readonly blocked: Watcher[];
}

function deliverForm(form: WatchForm, events: readonly WatchEvent[], round: Round): void {
  const [first] = events;
  if (first === undefined) return;
  const batches = makeBatches(events, form.prevKv, round.revision);
  for (const watcher of form.watchers) {
    if (watcher.nextRevision <= first.main) send(watcher, batches, round);
    else deliverRest(watcher, form, events, round);
  }
}

/** To a watcher that begins, or has to go on, amid the events. */
function deliverRest(watcher: Watcher, form: WatchForm, events: readonly WatchEvent[], round: Round): void {
  const rest = events.filter(({ main }) => main >= watcher.nextRevision);
  if (rest.length > 0) send(watcher, makeBatches(rest, form.prevKv, round.revision), round);
}

function send(watcher: Watcher, batches: readonly EventBatch[], { counters, blocked }: Round): void {
  const { outlet, receiver } = watcher;
  for (const batch of batches) {
    // An earlier response of this delivery may have ended its stream.
    if (watcher.state === 'closed') return;
    if (outlet.isFull) {
      watcher.nextRevision = batch.firstRevision;
      blocked.push(watcher);
      return;
    }
    outlet.isFull = !receiver.deliver(batch);
    counters.eventsTotal += batch.fields.length;
    counters.responses += 1;
  }
}
