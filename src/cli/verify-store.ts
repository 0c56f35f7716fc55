import { decodeEventRow, type EventRow } from '../mvcc/event-row.ts';
import { runSteps } from '../lib/steps.ts';
import { KeyCounts } from '../mvcc/key-counts.ts';
import { decodeIndexMeta, type IndexMeta } from '../mvcc/index-meta.ts';
import { StoreMeta, unsettledRevision } from '../mvcc/store-meta.ts';
import { encodeRevision, readMain, readSub, REVISION_BYTES } from '../mvcc/revision.ts';
import { versionKey, versionRevisionOffset, versionUserKey } from '../mvcc/version-key.ts';
import { leaseRow } from '../lease/rows.ts';
import type { Column, Engine } from '../ports/engine.ts';
import type { Finding } from '../storage/verify-log.ts';
import { KeyValueView } from '../wire/key-value.ts';
import { EMPTY } from '../wire/reader.ts';

const SLICE_ROWS = 500;
/** More findings give no new information. */
const MAX_FINDINGS = 100;

export interface StoreVerification {
  readonly revision: number;
  readonly compactRevision: number;
  readonly keys: number;
  readonly events: number;
  readonly versions: number;
  /** The revision of a large change that a kill interrupted. The next start finishes it. */
  readonly unfinishedRevision: number | undefined;
  readonly findings: readonly Finding[];
}

const describeKey = (key: Buffer): string => JSON.stringify(key.toString('utf8'));

/** Calls `visit` with the rows of a column, as two lists of equal length. */
function eachSlice(engine: Engine, column: Column, visit: (keys: Buffer[], values: Buffer[]) => void): void {
  const iterator = engine.iterate(column, { gte: EMPTY });
  for (let rows = iterator.next(SLICE_ROWS); rows.length > 0; rows = iterator.next(SLICE_ROWS)) {
    visit(
      rows.filter((_, n) => n % 2 === 0),
      rows.filter((_, n) => n % 2 === 1),
    );
  }
  iterator.close();
}

/** Compares the columns of the multi-version store with each other. */
class StoreVerifier {
  readonly findings: Finding[] = [];
  readonly #engine: Engine;
  readonly #meta: StoreMeta;
  readonly #view = new KeyValueView();
  readonly #canBeRepeated: boolean;
  readonly #onRows: VerifyStoreOptions['onRows'];
  #rows = 0;
  /** Of all columns; known when the changes are counted. */
  #totalRows: number | undefined;
  #placeholders = 0;
  #unfinished: number | undefined;
  #createdLater = 0;
  #deletedLater = 0;

  constructor(engine: Engine, meta: StoreMeta, { isLogAhead = false, onRows }: VerifyStoreOptions) {
    this.#engine = engine;
    this.#meta = meta;
    this.#canBeRepeated = isLogAhead;
    this.#onRows = onRows;
    this.#unfinished = unsettledRevision(engine);
  }

  /** Checks each change: its KeyValue and the change that it superseded. Returns the number of changes. */
  events(): number {
    let count = 0;
    eachSlice(this.#engine, 'event', (keys, values) => {
      count += keys.length;
      keys.forEach((key, n) => this.#event(key, values[n]));
      this.#read(keys.length);
    });
    // Each change has one more row, in another column.
    this.#totalRows = 2 * count;
    return count;
  }

  /** Number of events that do not change a key. */
  get placeholders(): number {
    return this.#placeholders;
  }

  get unfinishedRevision(): number | undefined {
    return this.#unfinished;
  }

  /**
   * How many more changes there are than keys and versions, because an unfinished change is not in `latest`: a key
   * that it creates has no row there yet, and one that it deletes still has one.
   */
  get unfinishedChanges(): number {
    return this.#createdLater - this.#deletedLater;
  }

  /** Checks each live key against its last change. Returns the number of keys. */
  latest(): number {
    let count = 0;
    eachSlice(this.#engine, 'latest', (keys, values) => {
      count += keys.length;
      const metas = values.map((value) => this.#decode('latest', value));
      const events = this.#engine.getMany(
        'event',
        metas.map((meta) => encodeRevision(meta?.mod ?? 0, meta?.sub ?? 0)),
      );
      keys.forEach((key, n) => {
        const meta = metas[n];
        if (meta === undefined) return;
        if (meta.isTombstone) this.report('latest', describeKey(key), 'has a tombstone');
        this.#checkIndex('latest', key, meta, events[n]);
        if (!this.#isLeaseKnown(meta) && !this.#isReplacedLater(key, meta)) {
          this.report('latest', describeKey(key), `its lease ${meta.lease.toString(16)} does not exist`);
        }
      });
      this.#read(keys.length);
    });
    return count;
  }

  /** Checks each superseded change and each tombstone. Returns their number. */
  versions(): number {
    let count = 0;
    eachSlice(this.#engine, 'version', (keys, values) => {
      count += keys.length;
      const revisions = keys.map((key) => key.subarray(versionRevisionOffset(key)));
      const events = this.#engine.getMany('event', revisions);
      keys.forEach((row, n) => {
        const meta = this.#decode('version', values[n]);
        if (meta === undefined) return;
        const key = versionUserKey(row);
        const revision = revisions[n] ?? row;
        if (readMain(revision, 0) !== meta.mod || readSub(revision, 0) !== meta.sub) {
          this.report('version', describeKey(key), 'key and row have different revisions');
        }
        this.#checkIndex('version', key, meta, events[n]);
      });
      this.#read(keys.length);
    });
    return count;
  }

  #read(rows: number): void {
    this.#rows += rows;
    this.#onRows?.(this.#rows, this.#totalRows);
  }

  report(column: Column, row: string, what: string): void {
    if (this.findings.length < MAX_FINDINGS) this.findings.push({ where: `${column} ${row}`, what });
  }

  #isLeaseKnown({ lease }: IndexMeta): boolean {
    return lease === 0n || this.#engine.get('lease', leaseRow(lease)) !== undefined;
  }

  /** Whether an unfinished change supersedes this one, which is the newest in `latest`. */
  #isReplacedLater(key: Buffer, { mod, sub }: IndexMeta): boolean {
    return (
      this.#unfinished !== undefined && this.#engine.get('version', versionKey(key, mod, sub)) !== undefined
    );
  }

  #decode(column: Column, row: Buffer | undefined): IndexMeta | undefined {
    try {
      return decodeIndexMeta(row ?? EMPTY);
    } catch {
      this.report(column, row?.toString('hex') ?? '', 'is not an index row');
      return undefined;
    }
  }

  #event(key: Buffer, row: Buffer | undefined): void {
    if (key.length !== REVISION_BYTES || row === undefined) {
      return this.report('event', key.toString('hex'), 'is not a revision');
    }
    const main = readMain(key, 0);
    const name = `${main}.${readSub(key, 0)}`;
    const event = decodeEventRow(row);
    const kv = this.#view.read(event.kv);
    const { revision } = this.#meta;
    // The parts of a large change are written before it is committed. The log has its entry, which is applied again.
    if (this.#canBeRepeated && revision !== undefined && main === revision + 1) this.#unfinished ??= main;
    if (main === this.#unfinished) {
      const isInLatest = this.#engine.get('latest', Buffer.from(kv.key)) !== undefined;
      if (event.isCreate && !isInLatest) this.#createdLater++;
      if (event.isDelete && isInLatest) this.#deletedLater++;
    } else if (revision !== undefined && main > revision)
      this.report('event', name, `is after the latest revision ${revision}`);
    if (event.kv.length === 0 && main <= this.#meta.compactRevision) {
      // Written by a restore that raised the revision; not a real change.
      this.#placeholders++;
      return;
    }
    if (kv.key.length === 0) this.report('event', name, 'has no key');
    if (!event.isDelete && kv.modRevision !== main)
      this.report('event', name, `has mod revision ${kv.modRevision}`);
    if (event.isCreate !== (kv.version === 1))
      this.report('event', name, 'has a wrong creation flag: set for an update, or not set for a creation');
    if (event.isCreate && kv.createRevision !== main)
      this.report('event', name, 'has another create revision');
    if (event.isDelete && event.previous === undefined && main > this.#meta.compactRevision)
      this.report('event', name, 'deletes a key that does not exist');
    this.#previous(main, name, event, Buffer.from(kv.key));
  }

  #previous(main: number, name: string, { previous, isCreate }: EventRow, key: Buffer): void {
    // A superseded change before the compact revision may be removed already. An imported history does not contain it.
    if (main <= this.#meta.compactRevision) return;
    if (previous === undefined) {
      if (!isCreate) this.report('event', name, 'neither creates a key nor supersedes a change');
      return;
    }
    const row = this.#engine.get('event', encodeRevision(previous.main, previous.sub));
    const superseded = `${previous.main}.${previous.sub}`;
    if (row === undefined)
      return this.report('event', name, `supersedes the change ${superseded}, which is missing`);
    const event = decodeEventRow(row);
    if (!this.#view.read(event.kv).key.equals(key))
      this.report('event', name, `supersedes the change ${superseded} of another key`);
  }

  /** Checks that an index row matches its change. */
  #checkIndex(column: Column, key: Buffer, meta: IndexMeta, row: Buffer | undefined): void {
    const name = describeKey(key);
    if (row === undefined) return this.report(column, name, `its change ${meta.mod}.${meta.sub} is missing`);
    const event = decodeEventRow(row);
    const kv = this.#view.read(event.kv);
    const isSame =
      kv.key.equals(key) &&
      event.isDelete === meta.isTombstone &&
      event.kv.length === meta.size &&
      (meta.isTombstone ||
        (kv.modRevision === meta.mod &&
          kv.createRevision === meta.create &&
          kv.version === meta.version &&
          kv.lease === meta.lease));
    if (!isSame) this.report(column, name, `does not match its change ${meta.mod}.${meta.sub}`);
  }
}

export interface VerifyStoreOptions {
  /**
   * Whether the log has entries that the store has not applied. A large change that was not committed in the store is
   * then no fault.
   */
  readonly isLogAhead?: boolean;
  /** Called now and then with the number of rows read so far, and of all rows once that is known. */
  readonly onRows?: (rows: number, total: number | undefined) => void;
}

/** Reads the whole store and changes nothing. Takes some seconds per million keys. */
export function verifyStore(engine: Engine, options: VerifyStoreOptions = {}): StoreVerification {
  const meta = new StoreMeta(engine);
  const verifier = new StoreVerifier(engine, meta, options);
  const events = verifier.events();
  const keys = verifier.latest();
  const versions = verifier.versions();
  // Each change has one row: as latest change of a key, as superseded change, or as tombstone.
  if (events !== keys + versions + verifier.placeholders + verifier.unfinishedChanges) {
    verifier.report('event', 'count', `${events} changes, but ${keys} keys and ${versions} versions`);
  }
  const { total } = runSteps(KeyCounts.load(engine));
  if (total !== keys) verifier.report('meta', 'key counts', `count ${total} keys, but there are ${keys}`);
  const { revision, compactRevision } = meta;
  const { findings, unfinishedRevision } = verifier;
  return { revision: revision ?? 1, compactRevision, keys, events, versions, unfinishedRevision, findings };
}
