import { allLeases } from '../lease/rows.ts';
import { rows as authRows } from '../auth/rows.ts';
import type { BucketContents, Element } from '../bbolt/writer.ts';
import { defined } from '../lib/assert.ts';
import { rows as memberRows, rowsWith } from '../membership/rows.ts';
import { compareVersions, parseVersion } from '../membership/version.ts';
import { eventIsDelete, eventKeyValue } from '../mvcc/event-row.ts';
import { encodeRevision, eventRevision } from '../mvcc/revision.ts';
import type { StoreView, ViewColumn, ViewRange } from '../ports/store-view.ts';
import { ConfState } from '../wire/gen/raftpb.ts';
import { EMPTY } from '../wire/reader.ts';
import { confStateToJson } from './conf-state-json.ts';
import { Bucket, DEFAULT_STORAGE_VERSION, MetaKey, revisionKey } from './schema.ts';

const ALARMS = 'alarm/';
const CLUSTER = 'cluster/';
const AUTH = 'auth/';
const REVISION = 'mvcc/revision';
const SCHEDULED = 'mvcc/compact-scheduled';
const FINISHED = 'mvcc/compact-finished';

/** The state of a snapshot that the log needs. */
export interface SnapshotState {
  readonly index: number;
  readonly term: number;
  readonly confState: ConfState;
  /** The storage version of the database. */
  readonly storageVersion: string;
}

/** Keystead's store as the contents of etcd's database. The rows have etcd's content under etcd's names. */
export class BackendContents implements BucketContents {
  readonly #view: StoreView;
  readonly #meta = new Map<string, Buffer>();
  readonly state: SnapshotState;

  /** @param view from now on used only by this object */
  constructor(view: StoreView) {
    this.#view = view;
    for (const name of [MetaKey.consistentIndex, MetaKey.term, MetaKey.confState, SCHEDULED, FINISHED]) {
      const value = this.#get('meta', Buffer.from(name));
      if (value !== undefined) this.#meta.set(name, value);
    }
    const confState = this.#meta.get(MetaKey.confState);
    this.state = {
      index: toNumber(this.#meta.get(MetaKey.consistentIndex)),
      term: toNumber(this.#meta.get(MetaKey.term)),
      confState: confState === undefined ? ConfState.create() : ConfState.decode(confState),
      storageVersion: this.#storageVersion(),
    };
  }

  /** As in etcd, the storage version follows the cluster version. Before 3.6 there is none. */
  #storageVersion(): string {
    const text = this.#get('meta', memberRows.clusterVersion)?.toString() ?? '';
    const version = parseVersion(text);
    const hasSchema =
      version !== undefined && compareVersions(version, { major: 3, minor: 6, patch: 0 }) >= 0;
    return hasSchema ? `${version.major}.${version.minor}.0` : DEFAULT_STORAGE_VERSION;
  }

  *elements(): Generator<Element, void> {
    const buckets: readonly (readonly [string, () => Iterable<Element>])[] = [
      [Bucket.alarm, () => this.#prefixed('meta', ALARMS)],
      [Bucket.auth, () => this.#prefixed('auth', AUTH)],
      [Bucket.authRoles, () => this.#prefixed('auth', authRows.roles)],
      [Bucket.authUsers, () => this.#prefixed('auth', authRows.users)],
      [Bucket.cluster, () => this.#prefixed('meta', CLUSTER)],
      [Bucket.key, () => this.#events()],
      [Bucket.lease, () => this.#rows('lease', allLeases, 1)],
      [Bucket.members, () => this.#prefixed('meta', memberRows.members)],
      [Bucket.membersRemoved, () => this.#prefixed('meta', memberRows.removed)],
      [Bucket.meta, () => this.#metaElements()],
    ];
    for (const [name, elements] of buckets) yield { key: Buffer.from(name), bucket: { elements } };
  }

  /** Events after the committed revision belong to a change that is not complete. */
  *#events(): Generator<Element, void> {
    const revision = committedRevision(this.#get('meta', Buffer.from(REVISION)));
    const lt = revision === undefined ? undefined : encodeRevision(revision + 1, 0);
    for (const batch of this.#view.scan('event', { gte: EMPTY, lt })) {
      for (let at = 0; at < batch.length; at += 2) {
        const { main, sub } = eventRevision(cell(batch, at));
        const row = cell(batch, at + 1);
        yield { key: revisionKey(main, sub, eventIsDelete(row)), value: eventKeyValue(row) };
      }
    }
  }

  #metaElements(): Element[] {
    const { confState, index, storageVersion } = this.state;
    const values = new Map<string, Buffer | undefined>([
      [MetaKey.confState, index === 0 ? undefined : confStateToJson(confState)],
      [MetaKey.consistentIndex, this.#meta.get(MetaKey.consistentIndex)],
      [MetaKey.finishedCompaction, compaction(this.#meta.get(FINISHED))],
      [MetaKey.scheduledCompaction, compaction(this.#meta.get(SCHEDULED))],
      [MetaKey.storageVersion, Buffer.from(storageVersion)],
      [MetaKey.term, this.#meta.get(MetaKey.term)],
    ]);
    return [...values].flatMap(([key, value]) =>
      value === undefined ? [] : [{ key: Buffer.from(key), value }],
    );
  }

  #prefixed(column: ViewColumn, prefix: string): Iterable<Element> {
    return this.#rows(column, rowsWith(prefix), prefix.length);
  }

  /** Rows without the first bytes of their keys. */
  *#rows(column: ViewColumn, range: ViewRange, leaveOut: number): Generator<Element, void> {
    for (const batch of this.#view.scan(column, range)) {
      for (let at = 0; at < batch.length; at += 2)
        yield { key: cell(batch, at).subarray(leaveOut), value: cell(batch, at + 1) };
    }
  }

  #get(column: ViewColumn, key: Buffer): Buffer | undefined {
    const next = Buffer.concat([key, Buffer.from([0])]);
    for (const [, value] of this.#view.scan(column, { gte: key, lt: next })) return value;
    return undefined;
  }
}

function cell(batch: Buffer[], at: number): Buffer {
  return defined(batch[at], 'rows of a view come in pairs');
}

function committedRevision(value: Buffer | undefined): number | undefined {
  return value === undefined ? undefined : toNumber(value);
}

function toNumber(bytes: Buffer | undefined): number {
  return bytes === undefined ? 0 : Number(bytes.readBigUInt64BE(0));
}

function compaction(value: Buffer | undefined): Buffer | undefined {
  return value === undefined ? undefined : revisionKey(toNumber(value), 0, false);
}
