import { runSteps, type Steps } from '../lib/steps.ts';
import { varintSize, writeVarint } from '../wire/varint.ts';

const TAG_TYPE = 0x08;
const TAG_KV = 0x12;
const TAG_PREV_KV = 0x1a;
/** `events`, field 11 of a WatchResponse. */
const TAG_EVENT = 0x5a;
/** `mod_revision`, field 3 of a KeyValue. */
const TAG_MOD = 0x18;
const DELETE = 1;

/** The revision that a change superseded, with the bytes of its KeyValue if they are in memory. */
export interface Superseded {
  readonly mod: number;
  readonly sub: number;
  readonly kv: Buffer | undefined;
}

/** Which events a watcher gets, and with what. */
export interface EventForm {
  /** With previous values. */
  readonly prevKv: boolean;
  readonly noPut: boolean;
  readonly noDelete: boolean;
}

/**
 * One change as watchers receive it. It is encoded at most twice, with and without the previous value, for any number
 * of watchers.
 */
export class WatchEvent {
  readonly main: number;
  readonly isDelete: boolean;
  readonly superseded: Superseded | undefined;
  /** Whether any watcher wants the previous value. */
  previousWanted = false;
  /** Some watcher did not. */
  plainWanted = false;
  /** What the key held before, once read; undefined if it did not exist or is compacted. */
  previousKv: Buffer | undefined;
  readonly #kv: Buffer;
  #plain: Buffer | undefined;
  #full: Buffer | undefined;

  /** @param kv the encoded KeyValue; for a delete it has only the key */
  constructor(main: number, isDelete: boolean, kv: Buffer, superseded: Superseded | undefined) {
    this.main = main;
    this.isDelete = isDelete;
    this.superseded = superseded;
    this.#kv = kv;
  }

  /** Approximate size on the wire. */
  get bytes(): number {
    return this.#kv.length + (this.previousKv?.length ?? 0);
  }

  /** The event as a field of a WatchResponse, tag and length included. */
  field(withPrevious: boolean): Buffer {
    if (withPrevious && this.previousKv !== undefined) return (this.#full ??= this.#encode(this.previousKv));
    return (this.#plain ??= this.#encode(undefined));
  }

  /** Does now what `field` would do, with the previous value read. */
  encode(): void {
    if (this.previousWanted) this.field(true);
    if (this.plainWanted) this.field(false);
  }

  #encode(previous: Buffer | undefined): Buffer {
    const kv = this.#kv;
    const kvBytes = kv.length + (this.isDelete ? 1 + varintSize(this.main) : 0);
    let bytes = (this.isDelete ? 2 : 0) + nestedSize(kvBytes);
    if (previous !== undefined) bytes += nestedSize(previous.length);
    const field = Buffer.allocUnsafe(nestedSize(bytes));
    field[0] = TAG_EVENT;
    let at = writeVarint(field, 1, bytes);
    if (this.isDelete) {
      field[at++] = TAG_TYPE;
      field[at++] = DELETE;
    }
    field[at++] = TAG_KV;
    at = writeVarint(field, at, kvBytes);
    field.set(kv, at);
    at += kv.length;
    if (this.isDelete) {
      field[at++] = TAG_MOD;
      at = writeVarint(field, at, this.main);
    }
    if (previous !== undefined) {
      field[at++] = TAG_PREV_KV;
      at = writeVarint(field, at, previous.length);
      field.set(previous, at);
    }
    return field;
  }
}

/** Tag, length and bytes of a length-delimited field below 16. */
function nestedSize(bytes: number): number {
  return 1 + varintSize(bytes) + bytes;
}

/** Fields up to this size are joined into larger pieces. */
const JOIN_LIMIT_BYTES = 4096;
/** At most so many fields make one piece. */
const FIELDS_PER_PIECE = 1024;

/** The events of one response: whole revisions in order. It is shared by all watchers that get the same events. */
export class EventBatch {
  /** After this batch the watcher has seen everything up to this revision. */
  readonly revision: number;
  readonly firstRevision: number;
  /** One field of a WatchResponse for each event. */
  readonly fields: readonly Buffer[];
  /** Size of all fields. */
  readonly bytes: number;
  #parts: readonly Buffer[] | undefined;
  #fieldsPerPart: readonly number[] = [];

  constructor(revision: number, firstRevision: number, fields: readonly Buffer[], bytes: number) {
    this.revision = revision;
    this.firstRevision = firstRevision;
    this.fields = fields;
    this.bytes = bytes;
  }

  /** The fields, with small ones joined into larger buffers. */
  get parts(): readonly Buffer[] {
    if (this.#parts === undefined) runSteps(this.join());
    return this.#parts ?? [];
  }

  /** How many fields are joined in each part. */
  get fieldsPerPart(): readonly number[] {
    if (this.#parts === undefined) runSteps(this.join());
    return this.#fieldsPerPart;
  }

  /** Makes `parts` in steps, of one piece each. */
  *join(): Steps<void> {
    const parts: Buffer[] = [];
    const counts: number[] = [];
    let run: Buffer[] = [];
    const endRun = (): void => {
      const [only] = run;
      if (only === undefined) return;
      parts.push(run.length === 1 ? only : Buffer.concat(run));
      counts.push(run.length);
      run = [];
    };
    for (const field of this.fields) {
      const isSmall = field.length <= JOIN_LIMIT_BYTES;
      if (!isSmall) endRun();
      run.push(field);
      if (!isSmall) endRun();
      if (run.length < FIELDS_PER_PIECE) continue;
      endRun();
      yield;
    }
    endRun();
    this.#parts = parts;
    this.#fieldsPerPart = counts;
  }
}

/** A response of this size gets no events of further revisions. */
const BATCH_BYTES = 256 * 1024;

/**
 * Gathers events into batches of whole revisions. A batch of very many events, which only one revision can have, is made
 * in steps, and so are its parts.
 *
 * @param form events that it does not want are left out
 * @param revision the last revision that a watcher has seen after the last batch
 * @param eventsPerStep after so many events a step ends
 */
export function* makeBatches(
  events: readonly WatchEvent[],
  form: EventForm,
  revision: number,
  eventsPerStep: number,
): Steps<readonly EventBatch[]> {
  const batches: EventBatch[] = [];
  let fields: Buffer[] = [];
  let bytes = 0;
  let first = 0;
  let last = 0;
  let left = eventsPerStep;
  for (const event of events) {
    left -= 1;
    if (left < 0) {
      left = eventsPerStep - 1;
      yield;
    }
    if (event.isDelete ? form.noDelete : form.noPut) continue;
    if (bytes >= BATCH_BYTES && event.main !== last) {
      batches.push(new EventBatch(event.main - 1, first, fields, bytes));
      fields = [];
      bytes = 0;
    }
    if (fields.length === 0) first = event.main;
    last = event.main;
    const field = event.field(form.prevKv);
    fields.push(field);
    bytes += field.length;
  }
  if (fields.length > 0) batches.push(new EventBatch(revision, first, fields, bytes));
  for (const batch of batches) if (batch.fields.length > eventsPerStep) yield* batch.join();
  return batches;
}
