/** Bigger buffers are made anew: they are rare, and kept ones would add up. */
const MAX_KEPT_BYTES = 1024;

/**
 * One buffer of each size, used again and again for rows that are copied as soon as they are filled. Most rows have
 * one of a few sizes, and a put would otherwise leave five buffers to be collected.
 */
export class ScratchBuffers {
  readonly #bySize: (Buffer | undefined)[] = [];

  /** A buffer of exactly `size` bytes with any content, the same one for each call with this size. */
  ofSize(size: number): Buffer {
    if (size > MAX_KEPT_BYTES) return Buffer.allocUnsafe(size);
    const kept = this.#bySize[size];
    if (kept !== undefined) return kept;
    const made = Buffer.allocUnsafeSlow(size);
    this.#bySize[size] = made;
    return made;
  }
}
