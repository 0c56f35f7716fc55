import { assert } from '../lib/assert.ts';
import { EMPTY } from '../wire/reader.ts';
import type { SlowRequests } from './slow-requests.ts';

/** A linearizable read that waits until everything acknowledged before it is applied. */
export interface ReadWaiter {
  readable(): void;
  failed(error: Error): void;
}

interface PendingRead {
  readonly waiter: ReadWaiter;
  readonly deadlineMs: number;
  /** It was completed, failed or canceled. */
  isOver: boolean;
}

/** Fewer reads are not worth removing. */
const LEAST_TRIMMED = 64;

/** Reads that arrived in one turn. They are in an array, since a set costs more than all the rest of a read. */
class ReadBatch {
  reads: PendingRead[] = [];
  /** Number of reads that still wait. */
  waiting = 0;
  context: Buffer = EMPTY;
  /** Time of the first and of the last ReadIndex request. */
  beganMs = 0;
  askedAtMs = 0;
  /** The commit index that must be applied before the reads; undefined until ReadIndex has answered. */
  index: number | undefined;
  /** Number of ticks before it began. */
  tick = 0;
  /** When ReadIndex answered, and what was applied then; 0 if no tick came before that. */
  confirmedMs = 0;
  appliedIndex = 0;

  add(read: PendingRead): void {
    this.reads.push(read);
    this.waiting += 1;
  }

  /** Ends a read. False if it has ended before. */
  end(read: PendingRead): boolean {
    if (read.isOver) return false;
    read.isOver = true;
    this.waiting -= 1;
    return true;
  }

  /** Removes reads that have ended. Without a leader, a batch can wait for as long as clients come and go. */
  trim(): void {
    if (this.reads.length < LEAST_TRIMMED || 2 * this.waiting > this.reads.length) return;
    this.reads = this.reads.filter(({ isOver }) => !isOver);
  }
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
  #arriving = new ReadBatch();
  /** Batches with a pending ReadIndex, oldest first. */
  #asked: ReadBatch[] = [];
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
    let size = this.#arriving.waiting;
    for (const { waiting } of this.#asked) size += waiting;
    return size;
  }

  get hasArrivals(): boolean {
    return this.#arriving.waiting > 0;
  }

  /** @returns a function that cancels the read; no method of the waiter is called after that */
  add(waiter: ReadWaiter, deadlineMs: number): () => void {
    const read: PendingRead = { waiter, deadlineMs, isOver: false };
    const batch = this.#arriving;
    batch.add(read);
    return () => {
      batch.end(read);
      batch.trim();
    };
  }

  /** Closes the current batch and returns the context for ReadIndex. */
  ask(nowMs: number): Buffer {
    this.#batches += 1;
    const context = Buffer.alloc(READ_NONCE_BYTES + COUNTER_BYTES);
    this.#nonce.copy(context);
    context.writeBigUInt64BE(BigInt(this.#batches), READ_NONCE_BYTES);
    const batch = this.#arriving;
    batch.context = context;
    batch.beganMs = nowMs;
    batch.askedAtMs = nowMs;
    batch.tick = this.#ticks;
    this.#asked.push(batch);
    this.#arriving = new ReadBatch();
    return context;
  }

  /**
   * Called when ReadIndex has answered for `context`. This also confirms all earlier batches. An unknown context is
   * ignored.
   *
   * @param appliedIndex the index of the last applied entry
   */
  confirmed(context: Buffer, index: number, appliedIndex = 0): void {
    const confirmed = this.#asked.findIndex((batch) => batch.context.equals(context));
    if (confirmed < 0) {
      this.slow += 1;
      return;
    }
    for (let at = 0; at <= confirmed; at += 1) {
      const batch = this.#asked[at];
      if (batch === undefined || batch.index !== undefined) continue;
      batch.index = index;
      batch.appliedIndex = appliedIndex;
      if (batch.tick !== this.#ticks) batch.confirmedMs = this.#slowRequests?.now() ?? 0;
    }
  }

  /** Completes the reads of confirmed batches whose index is applied. */
  release(appliedIndex: number): void {
    let readable = 0;
    while (isReadable(this.#asked[readable], appliedIndex)) readable += 1;
    if (readable === 0) return;
    for (const batch of this.#asked.splice(0, readable)) {
      if (batch.tick !== this.#ticks) this.#report(batch, batch.index ?? 0);
      for (const read of batch.reads) if (batch.end(read)) read.waiter.readable();
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
    this.#asked = this.#asked.filter(({ index, waiting }) => index !== undefined || waiting > 0);
    for (const batch of this.#asked) if (batch.index === undefined) newest = batch;
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
    this.#asked = [];
    this.#arriving = new ReadBatch();
    for (const batch of all) for (const read of batch.reads) if (batch.end(read)) read.waiter.failed(error);
  }

  #takeExpired(nowMs: number): PendingRead[] {
    const expired: PendingRead[] = [];
    for (const batch of this.#all()) {
      for (const read of batch.reads) {
        if (read.deadlineMs > nowMs) return expired;
        if (batch.end(read)) expired.push(read);
      }
      batch.trim();
    }
    return expired;
  }

  /** All batches, oldest first. */
  *#all(): Iterable<ReadBatch> {
    yield* this.#asked;
    yield this.#arriving;
  }
}

function isReadable(batch: ReadBatch | undefined, appliedIndex: number): boolean {
  return batch?.index !== undefined && batch.index <= appliedIndex;
}

/** @param randomInt a uniform random integer in [0, bound) */
export function newReadNonce(randomInt: (bound: number) => number): Buffer {
  return Buffer.from(Array.from({ length: READ_NONCE_BYTES }, () => randomInt(256)));
}
