/** Room for the tag and the length of the request in its log entry. */
const BEFORE = 16;
/** Room for the header of the log entry: its id, and the name of the user. */
const AFTER = 256;
/** A smaller request is copied sooner than it is looked for. */
const LEAST_BYTES = 64 * 1024;

/** Memory with room that nobody has taken yet. */
const withRoom = new WeakSet<ArrayBufferLike>();

/**
 * Memory for a large request, with room on both sides. The log entry of a write is the bytes of its request between a
 * few others. They are written into the room, so that a megabyte is not copied into memory that the kernel has to clear.
 */
export function allocateWithRoom(bytes: number): Buffer {
  if (bytes < LEAST_BYTES) return Buffer.allocUnsafeSlow(bytes);
  const whole = Buffer.allocUnsafeSlow(BEFORE + bytes + AFTER);
  withRoom.add(whole.buffer);
  return whole.subarray(BEFORE, BEFORE + bytes);
}

/**
 * The same bytes with room on both sides, which belongs to the caller from now on.
 *
 * @returns undefined if there is not so much room, or somebody has taken it
 */
export function takeRoom(bytes: Buffer, before: number, after: number): Buffer | undefined {
  const { buffer, byteOffset, length } = bytes;
  if (length < LEAST_BYTES || before > BEFORE || after > AFTER) return undefined;
  if (byteOffset !== BEFORE || buffer.byteLength !== BEFORE + length + AFTER) return undefined;
  if (!withRoom.delete(buffer)) return undefined;
  return Buffer.from(buffer, BEFORE - before, before + length + after);
}
