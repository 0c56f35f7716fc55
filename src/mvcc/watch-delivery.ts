import type { Steps } from '../lib/steps.ts';
import type { Engine } from '../ports/engine.ts';
import { decodeEventRow, eventKeyValue } from './event-row.ts';
import { encodeRevision } from './revision.ts';
import { type EventBatch, makeBatches, type Superseded, type WatchEvent } from './watch-event.ts';
import type { WatchForm, WatchIndex } from './watch-index.ts';
import type { WatchPacing } from './watch-pacing.ts';
import type { Watcher } from './watcher.ts';

/** Plain numbers for the metrics. */
export interface WatchCounters {
  /** Events delivered since the start, counted once for each watcher. */
  eventsTotal: number;
  /** Number of deliveries to a watcher. */
  responses: number;
}

/** Reads the previous values of events whose watchers want them, unless they are in memory. */
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

/**
 * Reads and encodes what a delivery of these events needs, where that delivery comes in a later turn with many more.
 */
export function prepare(engine: Engine, events: readonly WatchEvent[]): void {
  readPrevious(
    engine,
    events.filter(({ previousWanted }) => previousWanted),
  );
  for (const event of events) event.encode();
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

/** How much one step of a delivery does. */
type DeliveryPace = Pick<Required<WatchPacing>, 'responsesPerStep' | 'eventsPerStep'>;

/**
 * Delivers the gathered events to the watchers of an index. Between the steps no watcher may enter or leave the index,
 * and nothing may be gathered.
 *
 * @param revision the last revision gathered; all changes up to it were matched
 * @returns watchers whose outlet is full, each with the revision to resume from. They are still in the index.
 */
export function* deliver(
  index: WatchIndex,
  revision: number,
  counters: WatchCounters,
  pace: DeliveryPace,
): Steps<readonly Watcher[]> {
  const blocked: Watcher[] = [];
  const round = { revision, counters, blocked, eventsPerStep: pace.eventsPerStep };
  let tried = 0;
  for (const group of index.takeTouched()) {
    const { events } = group;
    group.events = [];
    for (const form of group.forms) {
      const batches = yield* makeBatches(events, form, revision, pace.eventsPerStep);
      const [first] = batches;
      if (first === undefined) continue;
      for (const watcher of form.watchers) {
        if (watcher.nextRevision <= first.firstRevision) send(watcher, batches, round);
        else yield* deliverRest(watcher, form, events, round);
        tried += batches.length;
        if (tried < pace.responsesPerStep) continue;
        tried = 0;
        yield;
      }
    }
  }
  return blocked;
}

interface Round {
  readonly revision: number;
  readonly counters: WatchCounters;
  readonly blocked: Watcher[];
  readonly eventsPerStep: number;
}

/** Delivers to a watcher that starts or resumes in the middle of the events. */
function* deliverRest(
  watcher: Watcher,
  form: WatchForm,
  events: readonly WatchEvent[],
  round: Round,
): Steps<void> {
  const rest = events.filter(({ main }) => main >= watcher.nextRevision);
  const batches = yield* makeBatches(rest, form, round.revision, round.eventsPerStep);
  if (batches.length > 0) send(watcher, batches, round);
}

function send(watcher: Watcher, batches: readonly EventBatch[], { counters, blocked }: Round): void {
  const { outlet, receiver } = watcher;
  for (const batch of batches) {
    // An earlier response of this delivery may have closed its stream.
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
