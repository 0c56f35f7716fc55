import { assert } from '../lib/assert.ts';
import { runSteps, type Steps } from '../lib/steps.ts';
import { attachedRow } from '../lease/rows.ts';
import { decodeEventRow } from '../mvcc/event-row.ts';
import { KeyCounts } from '../mvcc/key-counts.ts';
import { IndexMeta, decodeIndexMeta } from '../mvcc/index-meta.ts';
import { keyString } from '../mvcc/key-range.ts';
import { StoreMeta, unsettledRevision } from '../mvcc/store-meta.ts';
import { encodeRevision, readMain, readSub } from '../mvcc/revision.ts';
import { RowStager } from '../mvcc/row-stager.ts';
import { versionKey } from '../mvcc/version-key.ts';
import type { Engine, WriteBatch } from '../ports/engine.ts';
import { KeyValueView } from '../wire/key-value.ts';
import { EMPTY } from '../wire/reader.ts';

/** A batch is one step. */
const EVENTS_PER_BATCH = 128;
/**
 * Completes a large change that was committed before a crash: updates `latest`, the key counts and the keys of leases
 * from the change's events. It can run twice. It must run before anything reads them.
 */
export function settleAfterCrash(engine: Engine): void {
  runSteps(settleSteps(engine));
}

/** The same in steps. */
export function* settleSteps(engine: Engine): Steps<void> {
  const revision = unsettledRevision(engine);
  if (revision === undefined) return;
  const keyCounts = yield* KeyCounts.load(engine);
  const settling = new Settling(engine, keyCounts);
  const rows = engine.iterate('event', {
    gte: encodeRevision(revision, 0),
    lt: encodeRevision(revision + 1, 0),
  });
  try {
    for (let part = rows.next(EVENTS_PER_BATCH); part.length > 0; part = rows.next(EVENTS_PER_BATCH)) {
      const batch = engine.batch();
      for (let at = 0; at + 1 < part.length; at += 2) settling.stage(batch, part[at], part[at + 1]);
      settling.finish(batch);
      yield;
    }
  } finally {
    rows.close();
  }
  const batch = engine.batch();
  keyCounts.stage(batch);
  new StoreMeta(engine).stageSettled(batch);
  engine.write(batch);
}

class Settling {
  readonly #engine: Engine;
  readonly #keyCounts: KeyCounts;
  readonly #rows = new RowStager();
  readonly #view = new KeyValueView();
  /** Whether `latest` has the keys that the batch changes, after the batch is written. */
  readonly #live = new Map<string, boolean>();

  constructor(engine: Engine, keyCounts: KeyCounts) {
    this.#engine = engine;
    this.#keyCounts = keyCounts;
  }

  stage(batch: WriteBatch, revision: Buffer | undefined, row: Buffer | undefined): void {
    assert(revision !== undefined && row !== undefined, 'iterator rows come in pairs');
    const { isDelete, kv, previous } = decodeEventRow(row);
    const fields = this.#view.read(kv);
    const key = Buffer.from(fields.key);
    const name = keyString(key);
    const lease = isDelete ? 0n : fields.lease;
    if (isDelete) batch.del('latest', key);
    else {
      const { createRevision: create, version } = fields;
      const place = { mod: readMain(revision, 0), sub: readSub(revision, 0) };
      const meta = new IndexMeta({ ...place, create, version, lease, size: kv.length, kv: undefined });
      this.#rows.latest(batch, key, meta);
    }
    const wasLive = this.#live.get(name) ?? this.#engine.get('latest', key) !== undefined;
    if (wasLive === isDelete) this.#keyCounts.change(name, isDelete ? -1 : 1);
    this.#live.set(name, !isDelete);
    const oldLease = previous === undefined ? 0n : this.#leaseAt(key, previous);
    if (oldLease === lease) return;
    if (oldLease !== 0n) batch.del('lease', attachedRow(oldLease, key));
    if (lease !== 0n) batch.put('lease', attachedRow(lease, key), EMPTY);
  }

  finish(batch: WriteBatch): void {
    this.#keyCounts.stage(batch);
    this.#engine.write(batch);
    this.#keyCounts.settle();
    this.#live.clear();
  }

  #leaseAt(key: Buffer, { main, sub }: { readonly main: number; readonly sub: number }): bigint {
    const row = this.#engine.get('version', versionKey(key, main, sub));
    return row === undefined ? 0n : decodeIndexMeta(row).lease;
  }
}
