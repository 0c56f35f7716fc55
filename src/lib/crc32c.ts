/**
 * CRC-32C (Castagnoli), as the write-ahead log chains it, sliced by eight: eight table look-ups take eight
 * bytes a round (Kounavis and Berry, "A Systematic Approach to Building High Performance Software-Based CRC
 * Generators", 2005). Long inputs are sliced by sixteen, and read as words.
 */
const REVERSED_POLYNOMIAL = 0x82f63b78;
const SLICES = 16;
/** From so many bytes on, a view of them as words pays. */
const LONG_BYTES = 1024;

function makeTables(): Int32Array[] {
  const tables = Array.from({ length: SLICES }, () => new Int32Array(256));
  const [first] = tables;
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 0 ? crc >>> 1 : (crc >>> 1) ^ REVERSED_POLYNOMIAL;
    if (first !== undefined) first[byte] = crc;
  }
  for (let slice = 1; slice < SLICES; slice++) {
    const table = tables[slice];
    const previous = tables[slice - 1];
    if (table === undefined || previous === undefined || first === undefined) continue;
    for (let byte = 0; byte < 256; byte++) {
      const crc = previous[byte] as number;
      table[byte] = (crc >>> 8) ^ (first[crc & 0xff] as number);
    }
  }
  return tables;
}

const [t0, t1, t2, t3, t4, t5, t6, t7, t8, t9, t10, t11, t12, t13, t14, t15] = makeTables() as [
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
];

/** Words are read in the order of the machine. */
const isLittleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/**
 * Continues a checksum over `bytes` from `start` (inclusive) to `end` (exclusive).
 *
 * @param crc the checksum of the bytes before, 0 at the beginning
 * @returns an unsigned 32-bit number
 */
export function crc32c(crc: number, bytes: Uint8Array, start = 0, end = bytes.length): number {
  let state = ~crc;
  let at = start;
  if (end - start >= LONG_BYTES && isLittleEndian) {
    for (; ((bytes.byteOffset + at) & 3) !== 0; at++) state = shifted(state, bytes[at] as number);
    const words = (end - at) >>> 2;
    state = overWords(state, new Int32Array(bytes.buffer, bytes.byteOffset + at, words));
    at += (words & ~3) * 4;
  }
  for (const last = end - 8; at <= last; at += 8) {
    const low =
      state ^
      ((bytes[at] as number) |
        ((bytes[at + 1] as number) << 8) |
        ((bytes[at + 2] as number) << 16) |
        ((bytes[at + 3] as number) << 24));
    state =
      (t7[low & 0xff] as number) ^
      (t6[(low >>> 8) & 0xff] as number) ^
      (t5[(low >>> 16) & 0xff] as number) ^
      (t4[low >>> 24] as number) ^
      (t3[bytes[at + 4] as number] as number) ^
      (t2[bytes[at + 5] as number] as number) ^
      (t1[bytes[at + 6] as number] as number) ^
      (t0[bytes[at + 7] as number] as number);
  }
  for (; at < end; at++) state = shifted(state, bytes[at] as number);
  return ~state >>> 0;
}

function shifted(state: number, byte: number): number {
  return (state >>> 8) ^ (t0[(state ^ byte) & 0xff] as number);
}

/** Takes all words but the last one to three of a number that four does not divide. */
function overWords(before: number, words: Int32Array): number {
  let state = before;
  for (let at = 0, end = words.length & ~3; at < end; at += 4) {
    const a = state ^ (words[at] as number);
    const b = words[at + 1] as number;
    const c = words[at + 2] as number;
    const d = words[at + 3] as number;
    state =
      (t15[a & 0xff] as number) ^
      (t14[(a >>> 8) & 0xff] as number) ^
      (t13[(a >>> 16) & 0xff] as number) ^
      (t12[a >>> 24] as number) ^
      (t11[b & 0xff] as number) ^
      (t10[(b >>> 8) & 0xff] as number) ^
      (t9[(b >>> 16) & 0xff] as number) ^
      (t8[b >>> 24] as number) ^
      (t7[c & 0xff] as number) ^
      (t6[(c >>> 8) & 0xff] as number) ^
      (t5[(c >>> 16) & 0xff] as number) ^
      (t4[c >>> 24] as number) ^
      (t3[d & 0xff] as number) ^
      (t2[(d >>> 8) & 0xff] as number) ^
      (t1[(d >>> 16) & 0xff] as number) ^
      (t0[d >>> 24] as number);
  }
  return state;
}
