import type { StoreEvent } from '../../mvcc/store.ts';
import { KeyValue } from '../../wire/gen/mvccpb.ts';

/** One committed change. */
export interface CommittedChange {
  readonly revision: number;
  readonly sub: number;
  readonly key: string;
  /** Undefined for a delete. */
  readonly value: string | undefined;
}

/**
 * The committed history of the cluster, as applied by its members. All members must apply the same changes at the same
 * revisions, also when they apply them again after a crash.
 */
export class CommittedHistory {
  readonly #byRevision = new Map<number, CommittedChange[]>();
  readonly #byKey = new Map<string, CommittedChange[]>();
  #last = 1;

  get lastRevision(): number {
    return this.#last;
  }

  /** Records a batch applied by one member. @returns the violation, if any */
  record(member: string, events: readonly StoreEvent[]): string | undefined {
    return this.recordChanges(member, events.map(changeOf));
  }

  /** As {@link record}, for changes sorted by revision. */
  recordChanges(member: string, all: readonly CommittedChange[]): string | undefined {
    const revisions = new Map<number, CommittedChange[]>();
    for (const change of all) {
      const changes = revisions.get(change.revision);
      if (changes === undefined) revisions.set(change.revision, [change]);
      else changes.push(change);
    }
    for (const [revision, changes] of revisions) {
      const known = this.#byRevision.get(revision);
      if (known === undefined) {
        if (revision !== this.#last + 1)
          return `${member} applied revision ${revision} where ${this.#last + 1} was next`;
        this.#add(revision, changes);
      } else if (describe(known) !== describe(changes)) {
        return `${member} applied ${describe(changes)} at revision ${revision}, others ${describe(known)}`;
      }
    }
    return undefined;
  }

  at(revision: number): readonly CommittedChange[] {
    return this.#byRevision.get(revision) ?? [];
  }

  /** The last change of the key at or before the revision. */
  before(key: string, revision: number): CommittedChange | undefined {
    return this.#byKey.get(key)?.[this.#upTo(key, revision) - 1];
  }

  /** Returns the changes of keys with a prefix, from a revision on, in order. */
  *changes(prefix: string, from: number, to: number): Iterable<CommittedChange> {
    for (let revision = from; revision <= to; revision += 1)
      for (const change of this.at(revision)) if (change.key.startsWith(prefix)) yield change;
  }

  /** Number of changes that {@link changes} returns. */
  count(prefix: string, from: number, to: number): number {
    let count = 0;
    for (const key of this.#byKey.keys())
      if (key.startsWith(prefix)) count += this.#upTo(key, to) - this.#upTo(key, from - 1);
    return count;
  }

  /** Number of changes of the key at or before the revision. */
  #upTo(key: string, revision: number): number {
    const changes = this.#byKey.get(key) ?? [];
    let low = 0;
    let high = changes.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((changes[middle]?.revision ?? 0) <= revision) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #add(revision: number, changes: CommittedChange[]): void {
    this.#byRevision.set(revision, changes);
    this.#last = revision;
    for (const change of changes) {
      const ofKey = this.#byKey.get(change.key);
      if (ofKey === undefined) this.#byKey.set(change.key, [change]);
      else ofKey.push(change);
    }
  }
}

function changeOf({ main, sub, isDelete, key, kv }: StoreEvent): CommittedChange {
  return {
    revision: main,
    sub,
    key: key.toString(),
    value: isDelete ? undefined : KeyValue.decode(kv).value.toString(),
  };
}

function describe(changes: readonly CommittedChange[]): string {
  return changes.map(({ sub, key, value }) => `${sub}:${key}=${value ?? '(deleted)'}`).join(' ');
}
