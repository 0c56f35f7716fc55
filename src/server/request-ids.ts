import { assert } from '../lib/assert.ts';

const SEQUENCE_LIMIT = 2 ** 48;

/**
 * Ids of proposals, laid out as etcd's: 16 bits of the member's id above a 48-bit sequence that begins at the
 * start time in milliseconds shifted by 8 bits, so that a restarted member does not reuse the ids of its
 * earlier life while their entries may still be replayed.
 *
 * The sequence alone travels as a `number`: it identifies a local proposal without 64-bit arithmetic on the
 * hot path.
 */
export class RequestIds {
  readonly #prefix: number;
  #sequence: number;

  constructor(memberId: bigint, startedAtMs: number) {
    this.#prefix = Number(memberId & 0xffffn);
    this.#sequence = Math.floor(startedAtMs % 2 ** 40) * 256;
  }

  /** The member's 16 bits, the high part of each id it assigns. */
  get prefix(): number {
    return this.#prefix;
  }

  /** The last one given out. */
  get last(): number {
    return this.#sequence;
  }

  next(): number {
    this.#sequence += 1;
    assert(this.#sequence < SEQUENCE_LIMIT, 'request id sequence stays within 48 bits');
    return this.#sequence;
  }

  /** The whole 64-bit id of a sequence number. */
  full(sequence: number): bigint {
    return (BigInt(this.#prefix) << 48n) | BigInt(sequence);
  }

  /** A positive 63-bit id, as etcd chooses lease ids when the client leaves the choice to it. */
  leaseId(): bigint {
    return this.full(this.next()) & 0x7fff_ffff_ffff_ffffn;
  }
}
