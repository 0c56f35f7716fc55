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

/** The store's marks in `meta`: how far it is compacted, and how far the removal has come. */
export class StoreMarks {
  /**
   * The current revision as of the last commit, which compaction may have left no event of; events after it are
   * part of a change that was not complete. Undefined in a store that no change was committed to.
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

  /** The last compaction asked for; -1 before the first. */
  get compactRevision(): number {
    return this.#compactRevision;
  }

  /** The last compaction whose removal is done; -1 before the first. */
  get finishedRevision(): number {
    return this.#finished;
  }

  /** Bytes of all revisions that are not removed, as the quota counts them. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  stageRevision(batch: WriteBatch, revision: number): void {
    batch.put('meta', REVISION, encode(revision));
  }

  /** A revision is committed whose changes are not all in `latest`. */
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

/** The revision that a crash left unsettled; undefined where all is settled. */
export function unsettledRevision(engine: Engine): number | undefined {
  const row = engine.get('meta', UNSETTLED);
  return row === undefined ? undefined : decode(row, 0);
}
