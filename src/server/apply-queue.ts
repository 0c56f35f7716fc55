import type { Entry } from '../raft/types.ts';
import type { ConsensusHooks } from './consensus.ts';

/** Maximum number of entries applied in one turn, and the size in bytes after which a slice ends. */
const ENTRIES_PER_SLICE = 64;
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
  readonly #batches: Batch[] = [];
  /** Number of applied entries of the first batch. */
  #appliedOfFirst = 0;
  #isStalled = false;

  constructor(apply: ConsensusHooks['apply']) {
    this.#apply = apply;
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
   * and their next requests are already written to disk, while later entries are still being applied.
   *
   * @param backlog number of entries that are committed and not applied yet
   * @returns the batch whose last entry was applied
   */
  applySlice(backlog: number): Batch | undefined {
    const batch = this.#batches[0];
    if (batch === undefined || this.#isStalled) return undefined;
    const { entries } = batch;
    const from = this.#appliedOfFirst;
    const to = sliceEnd(entries, from, backlog > LAGGING_ENTRIES ? BYTES_PER_LAGGING_SLICE : BYTES_PER_SLICE);
    const applied = this.#apply(from === 0 && to === entries.length ? entries : entries.slice(from, to));
    if (applied === undefined) {
      this.#isStalled = true;
      return undefined;
    }
    this.#appliedOfFirst += applied;
    if (this.#appliedOfFirst < entries.length) return undefined;
    this.#batches.shift();
    this.#appliedOfFirst = 0;
    return batch;
  }
}

/** Returns the end of the slice that starts at `from`. A slice has at least one entry. */
function sliceEnd(entries: readonly Entry[], from: number, maxBytes: number): number {
  const most = Math.min(entries.length, from + ENTRIES_PER_SLICE);
  let to = from;
  for (let bytes = 0; to < most && bytes < maxBytes; to += 1) bytes += entries[to]?.data?.length ?? 0;
  return to;
}
