import { assert } from '../lib/assert.ts';
import type { Engine } from '../ports/engine.ts';
import { EMPTY } from '../wire/reader.ts';
import { eventKeyValue } from './event-row.ts';
import { decodeIndexMeta, type IndexMeta } from './index-meta.ts';
import { encodeRevision, readMain } from './revision.ts';
import { versionKey, versionRevisionOffset } from './version-key.ts';

/**
 * A compaction removed a revision between the read of the index and the read of the value. Only this read fails: the
 * stored data is correct.
 */
export class RevisionGoneError extends Error {
  override readonly name = 'RevisionGoneError';
}

/** The newest superseded revision of a key at or before `revision`; undefined if the key did not exist then. */
export function versionAt(engine: Engine, key: Buffer, revision: number): IndexMeta | undefined {
  const rows = engine.iterate('version', {
    gte: versionKey(key, 0, 0),
    lt: versionKey(key, revision + 1, 0),
    reverse: true,
  });
  const [found, row] = rows.next(1);
  rows.close();
  if (found === undefined || row === undefined) return undefined;
  assert(
    readMain(found, versionRevisionOffset(found)) <= revision,
    'a version row found is at or before the revision',
  );
  const meta = decodeIndexMeta(row);
  return meta.isTombstone ? undefined : meta;
}

/** The encoded KeyValues of revisions. @throws RevisionGoneError */
export function readValues(engine: Engine, metas: readonly IndexMeta[]): Buffer[] {
  const values = new Array<Buffer>(metas.length);
  const keys: Buffer[] = [];
  const places: number[] = [];
  for (let at = 0; at < metas.length; at += 1) {
    const meta = metas[at];
    assert(meta !== undefined, 'a list of metas has no holes');
    if (meta.kv !== undefined) values[at] = meta.kv;
    else {
      keys.push(encodeRevision(meta.mod, meta.sub));
      places.push(at);
    }
  }
  if (keys.length === 0) return values;
  const rows = engine.getMany('event', keys);
  for (let at = 0; at < rows.length; at += 1) {
    const row = rows[at];
    if (row === undefined) throw new RevisionGoneError('a revision was removed before its value was read');
    values[places[at] ?? 0] = eventKeyValue(row);
  }
  return values;
}

/** The encoded KeyValue of one revision. @throws RevisionGoneError */
export function readValue(engine: Engine, meta: IndexMeta): Buffer {
  if (meta.kv !== undefined) return meta.kv;
  const row = engine.get('event', encodeRevision(meta.mod, meta.sub));
  if (row === undefined) throw new RevisionGoneError('a revision was removed before its value was read');
  return eventKeyValue(row);
}

/** Revision of the newest change; 1 for a store without changes. */
export function lastEventRevision(engine: Engine): number {
  const rows = engine.iterate('event', { gte: EMPTY, reverse: true, keysOnly: true });
  const [key] = rows.next(1);
  rows.close();
  return key === undefined ? 1 : readMain(key, 0);
}
