import type { Engine, WriteBatch } from '../ports/engine.ts';

const REVISION = Buffer.from('mvcc/revision');
const SCHEDULED = Buffer.from('mvcc/compact-scheduled');
const SIZE = Buffer.from('mvcc/size');
const FINISHED = Buffer.from('mvcc/compact-finished');
const UNSETTLED = Buffer.from('mvcc/unsettled');

function encode(revision: number): Buffer {
  const row = Buffer.alloc(8);
  row.writeBigInt64BE(BigInt(revision));
  return row;
}

function decode(row: Buffer | undefined, absent: number): number {
  return row === undefined ? absent : Number(row.readBigInt64BE(0));
}

/**
 * The store's own rows in `meta`: its revision and size, the last compaction, and the last compaction that is finished.
 */
export class StoreMeta {
  /**
   * The current revision as of the last commit. Compaction may have removed its events. Events after it belong to a
   * change that was not complete. Undefined in a store without any commit.
   */
  readonly revision: number | undefined;
  #compactRevision: number;
  #finished: number;
  #sizeBytes: number;

  constructor(engine: Engine) {
    const revision = engine.get('meta', REVISION);
    this.revision = revision === undefined ? undefined : decode(revision, 1);
    this.#compactRevision = decode(engine.get('meta', SCHEDULED), -1);
    this.#finished = decode(engine.get('meta', FINISHED), -1);
    this.#sizeBytes = decode(engine.get('meta', SIZE), 0);
  }

  /** Revision of the last compaction requested; -1 before the first. */
  get compactRevision(): number {
    return this.#compactRevision;
  }

  /** Revision of the last compaction that has removed everything; -1 before the first. */
  get finishedRevision(): number {
    return this.#finished;
  }

  /** Bytes of all revisions that are stored, as the quota counts them. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  stageRevision(batch: WriteBatch, revision: number): void {
    batch.put('meta', REVISION, encode(revision));
  }

  /** Marks the committed revision as one whose changes are not all in `latest` yet. */
  stageUnsettled(batch: WriteBatch, revision: number): void {
    batch.put('meta', UNSETTLED, encode(revision));
  }

  stageSettled(batch: WriteBatch): void {
    batch.del('meta', UNSETTLED);
  }

  stageSize(batch: WriteBatch, changeBytes: number): void {
    this.#sizeBytes = Math.max(0, this.#sizeBytes + changeBytes);
    batch.put('meta', SIZE, encode(this.#sizeBytes));
  }

  stageCompaction(batch: WriteBatch, revision: number): void {
    this.#compactRevision = revision;
    batch.put('meta', SCHEDULED, encode(revision));
  }

  stageFinished(batch: WriteBatch, revision: number): void {
    this.#finished = revision;
    batch.put('meta', FINISHED, encode(revision));
  }
}

/** The rows that a read outside of `MvccStore` needs; see `settledRevision`. */
export const REVISION_ROWS: readonly Buffer[] = [REVISION, UNSETTLED];

/**
 * The revision that `latest` shows. Undefined if `latest` lacks changes of the committed revision, or before the first
 * commit.
 *
 * @param rows those of `REVISION_ROWS`
 */
export function settledRevision([revision, unsettled]: readonly (Buffer | undefined)[]): number | undefined {
  return revision === undefined || unsettled !== undefined ? undefined : decode(revision, 1);
}

/** The committed revision whose changes were not all in `latest` when the process ended; undefined if there is none. */
export function unsettledRevision(engine: Engine): number | undefined {
  const row = engine.get('meta', UNSETTLED);
  return row === undefined ? undefined : decode(row, 0);
}
