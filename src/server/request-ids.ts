import { assert } from '../lib/assert.ts';

const SEQUENCE_LIMIT = 2 ** 48;

/**
 * Ids of proposals, in etcd's format: the high 16 bits are from the member id, the low 48 bits are a sequence. The
 * sequence starts at the start time in milliseconds, shifted by 8 bits. So a restarted member does not reuse ids while
 * entries of its earlier process may still be replayed.
 *
 * The sequence is a `number`. It identifies a local proposal without 64-bit arithmetic on the hot path.
 */
export class RequestIds {
  readonly #prefix: number;
  #sequence: number;

  constructor(memberId: bigint, startedAtMs: number) {
    this.#prefix = Number(memberId & 0xffffn);
    this.#sequence = Math.floor(startedAtMs % 2 ** 40) * 256;
  }

  /** The high 16 bits of all ids of this member. */
  get prefix(): number {
    return this.#prefix;
  }

  /** The last sequence that was assigned. */
  get last(): number {
    return this.#sequence;
  }

  next(): number {
    this.#sequence += 1;
    assert(this.#sequence < SEQUENCE_LIMIT, 'request id sequence stays within 48 bits');
    return this.#sequence;
  }

  /** Returns the 64-bit id of a sequence number. */
  full(sequence: number): bigint {
    return (BigInt(this.#prefix) << 48n) | BigInt(sequence);
  }

  /** Returns a positive 63-bit id for a lease, as etcd does when the client does not choose one. */
  leaseId(): bigint {
    return this.full(this.next()) & 0x7fff_ffff_ffff_ffffn;
  }
}
