import type { Entry } from '../raft/types.ts';
import type { ConsensusHooks } from './consensus.ts';

/** The size in bytes after which a slice ends. */
const BYTES_PER_SLICE = 256 * 1024;
/** A member that lags far behind applies larger slices: its clients wait for its last entries, not for the first ones. */
const LAGGING_ENTRIES = 128;
const BYTES_PER_LAGGING_SLICE = 1024 * 1024;

/** Committed entries that raft has passed out together. It is told when all of them are applied. */
export interface CommittedBatch {
  readonly entries: readonly Entry[];
}

/** The committed entries that are not applied yet. */
export class ApplyQueue<Batch extends CommittedBatch> {
  readonly #apply: ConsensusHooks['apply'];
  readonly #entriesPerSlice: number;
  readonly #batches: Batch[] = [];
  /** Number of applied entries of the first batch. */
  #appliedOfFirst = 0;
  #isStalled = false;

  /** @param entriesPerSlice maximum number of entries applied in one turn */
  constructor(apply: ConsensusHooks['apply'], entriesPerSlice: number) {
    this.#apply = apply;
    this.#entriesPerSlice = entriesPerSlice;
  }

  get isEmpty(): boolean {
    return this.#batches.length === 0;
  }

  /** Whether there are entries that can be applied. */
  get isReady(): boolean {
    return this.#batches.length > 0 && !this.#isStalled;
  }

  add(batch: Batch): void {
    this.#batches.push(batch);
  }

  /** Continues after `apply` returned undefined. */
  resume(): void {
    this.#isStalled = false;
  }

  /**
   * Applies one slice and leaves the rest to the next turns. So the clients of the first entries get their responses,
   * and their next requests are already written to disk, while later entries are still being applied. Small batches that
   * wait together are one slice, because each slice is one write to the store.
   *
   * @param backlog number of entries that are committed and not applied yet
   * @returns the batches whose last entry was applied, in order
   */
  applySlice(backlog: number): Batch[] {
    if (this.#batches.length === 0 || this.#isStalled) return [];
    const maxBytes = backlog > LAGGING_ENTRIES ? BYTES_PER_LAGGING_SLICE : BYTES_PER_SLICE;
    const applied = this.#apply(this.#nextSlice(maxBytes));
    if (applied === undefined) {
      this.#isStalled = true;
      return [];
    }
    this.#appliedOfFirst += applied;
    return this.#takeApplied();
  }

  /** A slice has at least one entry. */
  #nextSlice(maxBytes: number): readonly Entry[] {
    const parts: (readonly Entry[])[] = [];
    let room = this.#entriesPerSlice;
    let bytes = 0;
    let from = this.#appliedOfFirst;
    for (const { entries } of this.#batches) {
      const most = Math.min(entries.length, from + room);
      let to = from;
      for (; to < most && bytes < maxBytes; to += 1) bytes += entries[to]?.data?.length ?? 0;
      if (to === from) break;
      parts.push(from === 0 && to === entries.length ? entries : entries.slice(from, to));
      if (to < entries.length) break;
      room -= to - from;
      from = 0;
    }
    return parts.length === 1 ? (parts[0] as readonly Entry[]) : parts.flat();
  }

  #takeApplied(): Batch[] {
    const taken: Batch[] = [];
    for (const batch of this.#batches) {
      const { length } = batch.entries;
      if (this.#appliedOfFirst < length) break;
      this.#appliedOfFirst -= length;
      taken.push(batch);
    }
    this.#batches.splice(0, taken.length);
    return taken;
  }
}
