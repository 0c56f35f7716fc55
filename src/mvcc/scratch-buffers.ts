/** Larger buffers are not kept: they are rare, and would take memory. */
const MAX_KEPT_BYTES = 1024;

/**
 * One buffer of each size, reused for rows that are copied as soon as they are filled. Most rows have one of a few
 * sizes. Without reuse a put would leave five buffers to the garbage collector.
 */
export class ScratchBuffers {
  readonly #bySize: (Buffer | undefined)[] = [];

  /** A buffer of exactly `size` bytes with undefined content. Each call with this size returns the same one. */
  ofSize(size: number): Buffer {
    if (size > MAX_KEPT_BYTES) return Buffer.allocUnsafe(size);
    const kept = this.#bySize[size];
    if (kept !== undefined) return kept;
    const made = Buffer.allocUnsafeSlow(size);
    this.#bySize[size] = made;
    return made;
  }
}
