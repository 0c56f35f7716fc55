/**
 * Smaller than etcd's segments of 64 MB. A start reads whole segments, and only whole segments are removed. So the size
 * limits what a start reads of entries that the store already has.
 */
const DEFAULT_SEGMENT_BYTES = 16_000_000;
const MIN_SEGMENT_BYTES = 1 << 20;

/**
 * Size of segments on a disk of `capacity` bytes: less than the default on a small disk, where two segments would take
 * too much.
 */
export const segmentBytesFor = (capacity: number): number =>
  capacity === 0
    ? DEFAULT_SEGMENT_BYTES
    : Math.min(DEFAULT_SEGMENT_BYTES, Math.max(MIN_SEGMENT_BYTES, Math.floor(capacity / 32)));
