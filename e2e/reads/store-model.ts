import { assert } from '../../src/lib/assert.ts';
import type { KeyValue } from '../../src/wire/gen/mvccpb.ts';

/** The value of one key from a revision on. Without a serial number it is a deletion. */
export interface Change {
  readonly key: string;
  readonly revision: number;
  readonly serial: number | undefined;
  readonly create: number;
  readonly version: number;
}

/** Returns the value of a put by its serial number. Values have different lengths, so messages and blocks vary. */
export function valueOf(serial: number): Buffer {
  return Buffer.from(`${serial} `.padEnd(8 + ((serial * 7919) % 1_500), '.'));
}

/** The whole history of a store that has one writer. */
export class StoreModel {
  revision = 1;
  /** All changes in the order of their revisions, and of the keys within one. */
  readonly changes: Change[] = [];
  readonly #byKey = new Map<string, Change[]>();
  #sortedKeys: string[] | undefined;

  /** One transaction, with keys in the order of the request. */
  apply(revision: number, puts: readonly { key: string; serial: number | undefined }[]): void {
    assert(revision === this.revision + 1, 'the writer knows of each revision');
    this.revision = revision;
    for (const { key, serial } of puts) {
      const before = this.at(key, revision);
      if (serial === undefined && before === undefined) continue;
      const change: Change =
        serial === undefined
          ? { key, revision, serial, create: 0, version: 0 }
          : {
              key,
              revision,
              serial,
              create: before?.create ?? revision,
              version: (before?.version ?? 0) + 1,
            };
      this.changes.push(change);
      const versions = this.#byKey.get(key);
      if (versions === undefined) {
        this.#byKey.set(key, [change]);
        this.#sortedKeys = undefined;
      } else versions.push(change);
    }
  }

  /** Returns the key as of a revision; undefined if it does not exist. */
  at(key: string, revision: number): Change | undefined {
    const versions = this.#byKey.get(key) ?? [];
    for (let at = versions.length - 1; at >= 0; at -= 1) {
      const change = versions[at];
      if (change !== undefined && change.revision <= revision)
        return change.serial === undefined ? undefined : change;
    }
    return undefined;
  }

  /** Keys from `start` up to `end`, in order, as of a revision. */
  range(start: string, end: string, revision: number): Change[] {
    this.#sortedKeys ??= [...this.#byKey.keys()].sort();
    const found: Change[] = [];
    for (const key of this.#sortedKeys) {
      if (key < start || key >= end) continue;
      const change = this.at(key, revision);
      if (change !== undefined) found.push(change);
    }
    return found;
  }
}

/** Formats a KeyValue as one line. */
export function lineOf({ key, createRevision, modRevision, version, value }: KeyValue): string {
  const serial = Number.parseInt(value.toString(), 10);
  const isWhole = value.length === 0 || value.equals(valueOf(serial));
  return `${key.toString()} ${createRevision} ${modRevision} ${version} ${value.length === 0 ? '-' : serial}${isWhole ? '' : ' damaged'}`;
}

export function expectedLine({ key, create, revision, version, serial }: Change, keysOnly = false): string {
  return `${key} ${create} ${revision} ${version} ${keysOnly || serial === undefined ? '-' : serial}`;
}
