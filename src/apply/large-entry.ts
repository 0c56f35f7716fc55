import type { Steps } from '../lib/steps.ts';
import type { AuthStore } from '../auth/auth-store.ts';
import { type Lessor, NO_LEASE } from '../lease/lessor.ts';
import type { MvccStore, StoreEvent } from '../mvcc/store.ts';
import type { Engine, WriteBatch } from '../ports/engine.ts';
import type { InternalRaftRequest, PutRequest, TxnRequest } from '../wire/gen/etcdserverpb.ts';
import type { Entry } from '../wire/gen/raftpb.ts';
import type { AppliedState } from './applied-state.ts';
import { mayBeLarge as mayTxnBeLarge } from './txn.ts';

/** How many steps of about a millisecond run in one turn of the event loop. */
const STEPS_PER_TURN = 3;
/** A change of more keys than this is written in parts. */
const LARGE_CHANGES = 512;
/** How many changes a part has. */
const PART_CHANGES = 128;
/** How many keys of a lease are deleted in one turn. */
const SMALL_LEASE_KEYS = 256;

interface SizeContext {
  readonly lessor: Lessor;
  readonly auth: Pick<AuthStore, 'isEnabled'>;
}

/** Whether a request may take longer than one turn of the event loop should take. */
export function mayBeLarge(context: SizeContext, request: InternalRaftRequest): boolean {
  const { lessor } = context;
  if (request.txn !== undefined) return mayTxnBeLarge(request.txn) || hasLargeLease(context, request.txn);
  if (request.put !== undefined) return mayPutBeLarge(context, request.put);
  if (request.leaseRevoke !== undefined)
    return lessor.hasMoreKeysThan(request.leaseRevoke.id, SMALL_LEASE_KEYS);
  const range = request.deleteRange ?? request.range;
  return range !== undefined && range.rangeEnd.length > 0;
}

/** With authentication a put needs the permission for all keys of its lease. */
export function mayPutBeLarge({ auth, lessor }: SizeContext, { lease }: Pick<PutRequest, 'lease'>): boolean {
  return auth.isEnabled && lease !== NO_LEASE && lessor.hasMoreKeysThan(lease, SMALL_LEASE_KEYS);
}

function hasLargeLease(context: SizeContext, { success, failure }: TxnRequest): boolean {
  if (!context.auth.isEnabled) return false;
  return [success, failure].some((ops) =>
    ops.some(({ request: op }) => {
      if (op?.case === 'requestTxn') return hasLargeLease(context, op.value);
      return op?.case === 'requestPut' && mayPutBeLarge(context, op.value);
    }),
  );
}

export interface LargeEntryContext {
  readonly engine: Engine;
  readonly store: MvccStore;
  readonly lessor: Lessor;
  readonly applied: AppliedState;
}

/**
 * An entry that is applied over several turns of the event loop. Between them raft continues, and clients read the
 * state before the entry. The entry is still atomic: one batch commits its revision together with the applied index.
 * What is written before that batch is not readable, and after a crash it is written again. What is written after it
 * is repaired by `settleAfterCrash`.
 */
export class LargeEntry {
  /** The entries of its batch, up to and including this one. */
  readonly entries: number;
  readonly #context: LargeEntryContext;
  readonly #steps: Steps<void>;
  #isCommitted = false;

  /** @param run applies the entry and calls `commit` */
  constructor(context: LargeEntryContext, entries: number, run: (large: LargeEntry) => Steps<void>) {
    this.#context = context;
    this.entries = entries;
    this.#steps = this.#writing(run(this));
  }

  /** Continues for one turn. @returns whether the entry is applied */
  step(): boolean {
    const { store, lessor } = this.#context;
    store.show();
    lessor.show();
    for (let steps = 0; steps < STEPS_PER_TURN; steps += 1) if (this.#steps.next().done === true) return true;
    if (this.#isCommitted) return false;
    store.hide();
    lessor.hide();
    return false;
  }

  /** Writes the entry's changes so far, between its steps, if there are many. */
  *#writing(steps: Steps<void>): Steps<void> {
    const { store } = this.#context;
    for (;;) {
      while (
        !this.#isCommitted &&
        store.pendingEvents > LARGE_CHANGES &&
        store.unwrittenEvents >= PART_CHANGES
      ) {
        this.#writePart();
        yield;
      }
      if (steps.next().done === true) return;
      yield;
    }
  }

  #writePart(): void {
    const { engine, store } = this.#context;
    const batch = engine.batch();
    store.stagePart(batch, PART_CHANGES);
    engine.write(batch);
  }

  /**
   * Commits the entry's changes and informs the watchers.
   *
   * @param write writes a batch with everything else that belongs to it beside keys and leases
   */
  *commit(
    entry: Entry,
    write: (batch: WriteBatch) => void,
    listener: { onEvents(events: readonly StoreEvent[]): void },
  ): Steps<void> {
    const { applied, engine, store, lessor } = this.#context;
    while (store.isLarge && store.unwrittenEvents > 0) {
      this.#writePart();
      yield;
    }
    const { isLarge } = store;
    if (isLarge) yield* store.prepareLarge();
    applied.advance(entry.index, entry.term);
    const batch = engine.batch();
    store.stage(batch);
    if (isLarge) lessor.stageLeases(batch);
    else lessor.stage(batch);
    write(batch);
    const events = store.committed();
    this.#isCommitted = true;
    if (isLarge) yield* this.#settle();
    if (events.length > 0) listener.onEvents(events);
  }

  /** Brings attachments and keys up to the revision. The next entry waits for this. */
  *#settle(): Steps<void> {
    const { engine, store, lessor } = this.#context;
    for (let isLast = false; !isLast;) {
      yield;
      const batch = engine.batch();
      isLast = lessor.stageAttachments(batch, PART_CHANGES);
      if (batch.length > 0) engine.write(batch);
    }
    for (let isLast = false; !isLast;) {
      yield;
      const batch = engine.batch();
      isLast = store.stageSettling(batch, PART_CHANGES);
      engine.write(batch);
      store.partSettled(isLast);
    }
  }
}
