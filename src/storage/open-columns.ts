import { defined } from '../lib/assert.ts';
import type { Column } from '../ports/engine.ts';
import { columnPlaces, firstVersionKey, prefixEnd } from './rocks-columns.ts';
import type { ColumnChoice, ColumnHandle } from './rocksdb-binding.ts';

export interface OpenColumn {
  readonly choice: ColumnChoice;
  readonly prefix: Buffer | undefined;
}
export type OpenColumns = Readonly<Record<Column, OpenColumn>>;

export function openColumns(families: Record<string, ColumnHandle>): OpenColumns {
  const choiceOf = (family: string): ColumnChoice => ({
    column: defined(families[family], 'every column family was opened'),
  });
  // Columns of one family have the same object: what is known of a family is found by it.
  const choices = { default: undefined, latest: choiceOf('latest'), version: choiceOf('version') };
  const open = (column: Column): OpenColumn => {
    const { family, prefix } = columnPlaces[column];
    return { choice: choices[family], prefix };
  };
  return {
    meta: open('meta'),
    latest: open('latest'),
    event: open('event'),
    version: open('version'),
    lease: open('lease'),
    auth: open('auth'),
  };
}

export function storedKey(column: OpenColumn, key: Uint8Array): Uint8Array {
  if (column.prefix === undefined) return key;
  const stored = Buffer.allocUnsafe(column.prefix.length + key.length);
  stored.set(column.prefix);
  stored.set(key, column.prefix.length);
  return stored;
}

/** Where a range of the column begins in its family. */
export function lowerBound(place: OpenColumn, column: Column, gte: Uint8Array): Uint8Array {
  if (column === 'version' && Buffer.compare(gte, firstVersionKey) < 0) return firstVersionKey;
  return storedKey(place, gte);
}

/** Where it ends; undefined is the family's end. */
export function upperBound(place: OpenColumn, lt: Uint8Array | undefined): Uint8Array | undefined {
  if (lt !== undefined) return storedKey(place, lt);
  return place.prefix && prefixEnd(place.prefix);
}
