import { decodeEventRow, type EventRow } from '../mvcc/event-row.ts';
import { runSteps } from '../lib/steps.ts';
import { KeyCounts } from '../mvcc/key-counts.ts';
import { decodeIndexMeta, type IndexMeta } from '../mvcc/index-meta.ts';
import { StoreMeta } from '../mvcc/store-meta.ts';
import { encodeRevision, readMain, readSub, REVISION_BYTES } from '../mvcc/revision.ts';
import { versionRevisionOffset, versionUserKey } from '../mvcc/version-key.ts';
import { leaseRow } from '../lease/rows.ts';
import type { Column, Engine } from '../ports/engine.ts';
import type { Finding } from '../storage/verify-log.ts';
import { KeyValueView } from '../wire/key-value.ts';
import { EMPTY } from '../wire/reader.ts';

const sliceRows = 500;
/** More of one kind say nothing new. */
const maxFindings = 100;

export interface StoreVerification {
  readonly revision: number;
  readonly compactRevision: number;
  readonly keys: number;
  readonly events: number;
  readonly versions: number;
  readonly findings: readonly Finding[];
}

const describeKey = (key: Buffer): string => JSON.stringify(key.toString('utf8'));

/** Calls `visit` with the rows of a column, as two lists of equal length. */
function eachSlice(engine: Engine, column: Column, visit: (keys: Buffer[], values: Buffer[]) => void): void {
  const iterator = engine.iterate(column, { gte: EMPTY });
  for (let rows = iterator.next(sliceRows); rows.length > 0; rows = iterator.next(sliceRows)) {
    visit(
      rows.filter((_, n) => n % 2 === 0),
      rows.filter((_, n) => n % 2 === 1),
    );
  }
  iterator.close();
}

/** Holds the columns of the multi-version store against each other. */
class StoreVerifier {
  readonly findings: Finding[] = [];
  readonly #engine: Engine;
  readonly #meta: StoreMeta;
  readonly #view = new KeyValueView();
  #placeholders = 0;

  constructor(engine: Engine, meta: StoreMeta) {
    this.#engine = engine;
    this.#meta = meta;
  }

  /** Each change: its KeyValue, and the change it superseded. */
  events(): number {
    let count = 0;
    eachSlice(this.#engine, 'event', (keys, values) => {
      count += keys.length;
      keys.forEach((key, n) => this.#event(key, values[n]));
    });
    return count;
  }

  /** Events met that are no change of any key. */
  get placeholders(): number {
    return this.#placeholders;
  }

  /** Each live key: the change that made it what it is. */
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
        if (meta.isTombstone) this.report('latest', describeKey(key), 'holds a tombstone');
        this.#agrees('latest', key, meta, events[n]);
        if (meta.lease !== 0n && this.#engine.get('lease', leaseRow(meta.lease)) === undefined) {
          this.report('latest', describeKey(key), `its lease ${meta.lease.toString(16)} does not exist`);
        }
      });
    });
    return count;
  }

  /** Each superseded change and each tombstone. */
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
          this.report('version', describeKey(key), 'key and row name different revisions');
        }
        this.#agrees('version', key, meta, events[n]);
      });
    });
    return count;
  }

  report(column: Column, row: string, what: string): void {
    if (this.findings.length < maxFindings) this.findings.push({ where: `${column} ${row}`, what });
  }

  #decode(column: Column, row: Buffer | undefined): IndexMeta | undefined {
    try {
      return decodeIndexMeta(row ?? EMPTY);
    } catch {
      this.report(column, row?.toString('hex') ?? '', 'is no index row');
      return undefined;
    }
  }

  #event(key: Buffer, row: Buffer | undefined): void {
    if (key.length !== REVISION_BYTES || row === undefined) {
      return this.report('event', key.toString('hex'), 'is no revision');
    }
    const main = readMain(key, 0);
    const name = `${main}.${readSub(key, 0)}`;
    const event = decodeEventRow(row);
    const kv = this.#view.read(event.kv);
    const { revision } = this.#meta;
    if (revision !== undefined && main > revision)
      this.report('event', name, `lies beyond the revision ${revision}`);
    if (event.kv.length === 0 && main <= this.#meta.compactRevision) {
      // Left by a restore that raised the revision: it stands for no change.
      this.#placeholders++;
      return;
    }
    if (kv.key.length === 0) this.report('event', name, 'has no key');
    if (!event.isDelete && kv.modRevision !== main)
      this.report('event', name, `holds revision ${kv.modRevision}`);
    if (event.isCreate !== (kv.version === 1))
      this.report(
        'event',
        name,
        'the creation mark is wrong: it is set on an update, or missing on a creation',
      );
    if (event.isCreate && kv.createRevision !== main)
      this.report('event', name, 'was created at another revision');
    if (event.isDelete && event.previous === undefined && main > this.#meta.compactRevision)
      this.report('event', name, 'deletes nothing');
    this.#previous(main, name, event, Buffer.from(kv.key));
  }

  #previous(main: number, name: string, { previous, isCreate }: EventRow, key: Buffer): void {
    // What a compaction at or after this revision superseded is removed, or about to be; an imported history does not
    // say any more what that was.
    if (main <= this.#meta.compactRevision) return;
    if (previous === undefined) {
      if (!isCreate) this.report('event', name, 'supersedes nothing, yet creates nothing');
      return;
    }
    const row = this.#engine.get('event', encodeRevision(previous.main, previous.sub));
    const superseded = `${previous.main}.${previous.sub}`;
    if (row === undefined)
      return this.report('event', name, `the change ${superseded} it supersedes is missing`);
    const event = decodeEventRow(row);
    if (!this.#view.read(event.kv).key.equals(key))
      this.report('event', name, `supersedes ${superseded} of another key`);
  }

  /** Whether an index row says of its change what the change says of itself. */
  #agrees(column: Column, key: Buffer, meta: IndexMeta, row: Buffer | undefined): void {
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
    if (!isSame) this.report(column, name, `disagrees with its change ${meta.mod}.${meta.sub}`);
  }
}

/** Reads the whole store; nothing is changed. Takes some seconds a million keys. */
export function verifyStore(engine: Engine): StoreVerification {
  const meta = new StoreMeta(engine);
  const verifier = new StoreVerifier(engine, meta);
  const events = verifier.events();
  const keys = verifier.latest();
  const versions = verifier.versions();
  // Each change is a key's newest, superseded, or a tombstone, and every kind has its row.
  if (events !== keys + versions + verifier.placeholders) {
    verifier.report('event', 'count', `${events} changes, but ${keys} keys and ${versions} versions`);
  }
  const { total } = runSteps(KeyCounts.load(engine));
  if (total !== keys) verifier.report('meta', 'key counts', `count ${total} keys where there are ${keys}`);
  const { revision, compactRevision } = meta;
  return { revision: revision ?? 1, compactRevision, keys, events, versions, findings: verifier.findings };
}
