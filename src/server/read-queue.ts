import { assert } from '../lib/assert.ts';
import type { SlowRequests } from './slow-requests.ts';

/** A linearizable read that waits until everything acknowledged before it is applied. */
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
  /** Time of the last ReadIndex request. */
  askedAtMs: number;
  /** The commit index that must be applied before the reads; undefined until ReadIndex has answered. */
  index: number | undefined;
  /** Time of the first ReadIndex request. */
  readonly beganMs: number;
  /** Number of ticks before it began. */
  readonly tick: number;
  /** When ReadIndex answered, and what was applied then; 0 if no tick came before that. */
  confirmedMs: number;
  appliedIndex: number;
}

/** Length of the random prefix of contexts. It differs for each process, also for the same member after a restart. */
const READ_NONCE_BYTES = 8;
const COUNTER_BYTES = 8;

/**
 * Linearizable reads by ReadIndex (Raft dissertation, section 6.4) in batches. All reads that arrive within one turn
 * of the raft loop share one ReadIndex and wait until its index is applied.
 *
 * The context of a ReadIndex consists of random bytes of this process and a counter. A late response to another member
 * or to an earlier process has another context, so it confirms no read here. Its index may be older than entries
 * committed since.
 *
 * All reads have the same timeout, so they expire in the order of arrival, within a batch and between batches.
 */
export class ReadQueue {
  readonly #nonce: Buffer;
  #arriving = new Set<PendingRead>();
  /** Batches with a pending ReadIndex, by context, oldest first. */
  readonly #asked = new Map<string, ReadBatch>();
  #batches = 0;
  /** For metrics: number of timeouts of reads, and of responses that came after all their reads had timed out. */
  slow = 0;
  readonly #slowRequests: SlowRequests | undefined;
  #ticks = 0;

  /** @param nonce created by `newReadNonce` at each start of the process */
  constructor(nonce: Buffer, slowRequests?: SlowRequests) {
    assert(nonce.length === READ_NONCE_BYTES, 'the nonce of reads has the right length');
    this.#nonce = nonce;
    this.#slowRequests = slowRequests;
  }

  /**
   * Called for each tick of raft. Only batches that have seen a tick can be slow, so that the clock need not be read for
   * the others. A tick that is longer than the limit of slow requests hides those that are quicker than a tick.
   */
  ticked(): void {
    this.#ticks += 1;
  }

  /** Number of waiting reads. */
  get size(): number {
    let size = this.#arriving.size;
    for (const { reads } of this.#asked.values()) size += reads.size;
    return size;
  }

  get hasArrivals(): boolean {
    return this.#arriving.size > 0;
  }

  /** @returns a function that cancels the read; no method of the waiter is called after that */
  add(waiter: ReadWaiter, deadlineMs: number): () => void {
    const read: PendingRead = { waiter, deadlineMs };
    const arriving = this.#arriving;
    arriving.add(read);
    return () => arriving.delete(read);
  }

  /** Closes the current batch and returns the context for ReadIndex. */
  ask(nowMs: number): Buffer {
    this.#batches += 1;
    const context = Buffer.alloc(READ_NONCE_BYTES + COUNTER_BYTES);
    this.#nonce.copy(context);
    context.writeBigUInt64BE(BigInt(this.#batches), READ_NONCE_BYTES);
    this.#asked.set(keyOf(context), {
      context,
      reads: this.#arriving,
      askedAtMs: nowMs,
      index: undefined,
      beganMs: nowMs,
      tick: this.#ticks,
      confirmedMs: 0,
      appliedIndex: 0,
    });
    this.#arriving = new Set();
    return context;
  }

  /**
   * Called when ReadIndex has answered for `context`. This also confirms all earlier batches. An unknown context is
   * ignored.
   *
   * @param appliedIndex the index of the last applied entry
   */
  confirmed(context: Buffer, index: number, appliedIndex = 0): void {
    const confirmed = this.#asked.get(keyOf(context));
    if (confirmed === undefined) {
      this.slow += 1;
      return;
    }
    for (const batch of this.#asked.values()) {
      if (batch.index === undefined) {
        batch.index = index;
        batch.appliedIndex = appliedIndex;
        if (batch.tick !== this.#ticks) batch.confirmedMs = this.#slowRequests?.now() ?? 0;
      }
      if (batch === confirmed) break;
    }
  }

  /** Completes the reads of confirmed batches whose index is applied. */
  release(appliedIndex: number): void {
    for (const [key, batch] of this.#asked) {
      if (batch.index === undefined || batch.index > appliedIndex) break;
      this.#asked.delete(key);
      if (batch.tick !== this.#ticks) this.#report(batch, batch.index);
      for (const { waiter } of batch.reads) waiter.readable();
    }
  }

  #report({ beganMs, confirmedMs, appliedIndex }: ReadBatch, index: number): void {
    if (this.#slowRequests === undefined) return;
    const endedMs = this.#slowRequests.now();
    this.#slowRequests.reportAllSteps({
      operation: 'linearizableReadLoop',
      detail: [
        ['readStateIndex', index],
        ['appliedIndex', appliedIndex],
      ],
      startedMs: beganMs,
      endedMs,
      steps: [
        ['read index received', confirmedMs === 0 ? beganMs : confirmedMs],
        ['applied index is now lower than readState.Index', endedMs],
      ],
    });
  }

  /**
   * Returns the context to send again after a lost message or a change of the leader: that of the newest batch, whose
   * response also confirms the earlier ones. Undefined if no batch waits, or if it was sent after `askedBeforeMs`.
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

  /** Fails the reads that have timed out. @returns their number */
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

  /** All sets of reads, oldest first. */
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
