import { assert } from '../lib/assert.ts';

/** A read that waits until it may see everything acknowledged before it began. */
export interface ReadWaiter {
  readable(): void;
  failed(error: Error): void;
}

interface PendingRead {
  readonly waiter: ReadWaiter;
  readonly deadlineMs: number;
}

interface ReadBatch {
  readonly context: Buffer;
  readonly reads: Set<PendingRead>;
  /** When ReadIndex was asked last. */
  askedAtMs: number;
  /** The commit index the batch must see; undefined until ReadIndex answered. */
  index: number | undefined;
}

/** Bytes that tell this process from all others, and from the same member before a restart. */
const READ_NONCE_BYTES = 8;
const COUNTER_BYTES = 8;

/**
 * Linearizable reads by ReadIndex (Raft dissertation, section 6.4), batched: all reads that arrive within one
 * turn of the raft loop share one ReadIndex, and wait until its index is applied.
 *
 * The context of a ReadIndex is random bytes of this process and a number. The answer to a request of an earlier
 * process, or of another member, may arrive late: it has another context, so that it confirms nothing here. Its index
 * says nothing about what was committed since.
 *
 * All reads wait equally long, so that within a batch and from batch to batch deadlines come in the order of arrival.
 */
export class ReadQueue {
  readonly #nonce: Buffer;
  #arriving = new Set<PendingRead>();
  /** By context, in the order in which they were asked. */
  readonly #asked = new Map<string, ReadBatch>();
  #batches = 0;
  /** Times that reads ran out of time, and answers that came when nothing waited for them any more; for metrics. */
  slow = 0;

  /** @param nonce made by `newReadNonce`, anew with each start of the process */
  constructor(nonce: Buffer) {
    assert(nonce.length === READ_NONCE_BYTES, 'the nonce of reads has its length');
    this.#nonce = nonce;
  }

  /** Reads that wait. */
  get size(): number {
    let size = this.#arriving.size;
    for (const { reads } of this.#asked.values()) size += reads.size;
    return size;
  }

  get hasArrivals(): boolean {
    return this.#arriving.size > 0;
  }

  /** @returns what takes the read back: neither of its methods is called after that */
  add(waiter: ReadWaiter, deadlineMs: number): () => void {
    const read: PendingRead = { waiter, deadlineMs };
    const arriving = this.#arriving;
    arriving.add(read);
    return () => arriving.delete(read);
  }

  /** Closes the current batch; returns the context to hand to ReadIndex. */
  ask(nowMs: number): Buffer {
    this.#batches += 1;
    const context = Buffer.alloc(READ_NONCE_BYTES + COUNTER_BYTES);
    this.#nonce.copy(context);
    context.writeBigUInt64BE(BigInt(this.#batches), READ_NONCE_BYTES);
    const batch: ReadBatch = { context, reads: this.#arriving, askedAtMs: nowMs, index: undefined };
    this.#asked.set(keyOf(context), batch);
    this.#arriving = new Set();
    return context;
  }

  /**
   * ReadIndex answered for `context`, and thereby for every batch that was asked before it. A context that no batch
   * waits for is ignored.
   */
  confirmed(context: Buffer, index: number): void {
    const confirmed = this.#asked.get(keyOf(context));
    if (confirmed === undefined) {
      this.slow += 1;
      return;
    }
    for (const batch of this.#asked.values()) {
      batch.index ??= index;
      if (batch === confirmed) break;
    }
  }

  /** Lets the confirmed batches read whose index is applied. */
  release(appliedIndex: number): void {
    for (const [key, batch] of this.#asked) {
      if (batch.index === undefined || batch.index > appliedIndex) break;
      this.#asked.delete(key);
      for (const { waiter } of batch.reads) waiter.readable();
    }
  }

  /**
   * The context to ask for again, after a lost message or with a new leader: that of the newest batch, which answers
   * for all before it. Undefined where nothing waits for an answer, or was asked for since `askedBeforeMs`.
   */
  askAgain(nowMs: number, askedBeforeMs: number): Buffer | undefined {
    let newest: ReadBatch | undefined;
    for (const [key, batch] of this.#asked) {
      if (batch.index !== undefined) continue;
      if (batch.reads.size === 0) this.#asked.delete(key);
      else newest = batch;
    }
    if (newest === undefined || newest.askedAtMs > askedBeforeMs) return undefined;
    newest.askedAtMs = nowMs;
    return newest.context;
  }

  /** Fails the reads whose time is up, asked or not. @returns how many */
  expire(nowMs: number, error: () => Error): number {
    const expired = this.#takeExpired(nowMs);
    if (expired.length > 0) this.slow += 1;
    for (const { waiter } of expired) waiter.failed(error());
    return expired.length;
  }

  failAll(error: Error): void {
    const all = [...this.#all()];
    this.#asked.clear();
    this.#arriving = new Set();
    for (const reads of all) for (const { waiter } of reads) waiter.failed(error);
  }

  #takeExpired(nowMs: number): PendingRead[] {
    const expired: PendingRead[] = [];
    for (const reads of this.#all()) {
      for (const read of reads) {
        if (read.deadlineMs > nowMs) return expired;
        reads.delete(read);
        expired.push(read);
      }
    }
    return expired;
  }

  /** The oldest reads first. */
  *#all(): Iterable<Set<PendingRead>> {
    for (const { reads } of this.#asked.values()) yield reads;
    yield this.#arriving;
  }
}

function keyOf(context: Buffer): string {
  return context.toString('latin1');
}

/** @param randomInt a uniform random integer in [0, bound) */
export function newReadNonce(randomInt: (bound: number) => number): Buffer {
  return Buffer.from(Array.from({ length: READ_NONCE_BYTES }, () => randomInt(256)));
}
