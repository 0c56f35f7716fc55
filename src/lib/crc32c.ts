/**
 * CRC-32C (Castagnoli), as the write-ahead log chains it, sliced by eight: eight table look-ups take eight
 * bytes a round (Kounavis and Berry, "A Systematic Approach to Building High Performance Software-Based CRC
 * Generators", 2005). Long inputs are sliced by sixteen, and read as words.
 */
const REVERSED_POLYNOMIAL = 0x82f63b78;
const SLICES = 16;
/** From so many bytes on, a view of them as words pays. */
const LONG_BYTES = 1024;

/**
 * The tables of all slices, one after another: entry `256 * slice + byte`. They are one array in a local variable of
 * each function. With sixteen arrays of the module, V8 loads and checks each of them again for every sixteen bytes, which
 * takes twice the time.
 */
const tables = makeTables();

function makeTables(): Int32Array {
  const table = new Int32Array(256 * SLICES);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 0 ? crc >>> 1 : (crc >>> 1) ^ REVERSED_POLYNOMIAL;
    table[byte] = crc;
  }
  for (let at = 256; at < table.length; at++) {
    const crc = table[at - 256] as number;
    table[at] = (crc >>> 8) ^ (table[crc & 0xff] as number);
  }
  return table;
}

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
  const t = tables;
  for (const last = end - 8; at <= last; at += 8) {
    const low =
      state ^
      ((bytes[at] as number) |
        ((bytes[at + 1] as number) << 8) |
        ((bytes[at + 2] as number) << 16) |
        ((bytes[at + 3] as number) << 24));
    state =
      (t[0x700 | (low & 0xff)] as number) ^
      (t[0x600 | ((low >>> 8) & 0xff)] as number) ^
      (t[0x500 | ((low >>> 16) & 0xff)] as number) ^
      (t[0x400 | (low >>> 24)] as number) ^
      (t[0x300 | (bytes[at + 4] as number)] as number) ^
      (t[0x200 | (bytes[at + 5] as number)] as number) ^
      (t[0x100 | (bytes[at + 6] as number)] as number) ^
      (t[bytes[at + 7] as number] as number);
  }
  for (; at < end; at++) state = shifted(state, bytes[at] as number);
  return ~state >>> 0;
}

function shifted(state: number, byte: number): number {
  return (state >>> 8) ^ (tables[(state ^ byte) & 0xff] as number);
}

/** Takes all words but the last one to three of a number that four does not divide. */
function overWords(before: number, words: Int32Array): number {
  const t = tables;
  let state = before;
  for (let at = 0, end = words.length & ~3; at < end; at += 4) {
    const a = state ^ (words[at] as number);
    const b = words[at + 1] as number;
    const c = words[at + 2] as number;
    const d = words[at + 3] as number;
    state =
      (t[0xf00 | (a & 0xff)] as number) ^
      (t[0xe00 | ((a >>> 8) & 0xff)] as number) ^
      (t[0xd00 | ((a >>> 16) & 0xff)] as number) ^
      (t[0xc00 | (a >>> 24)] as number) ^
      (t[0xb00 | (b & 0xff)] as number) ^
      (t[0xa00 | ((b >>> 8) & 0xff)] as number) ^
      (t[0x900 | ((b >>> 16) & 0xff)] as number) ^
      (t[0x800 | (b >>> 24)] as number) ^
      (t[0x700 | (c & 0xff)] as number) ^
      (t[0x600 | ((c >>> 8) & 0xff)] as number) ^
      (t[0x500 | ((c >>> 16) & 0xff)] as number) ^
      (t[0x400 | (c >>> 24)] as number) ^
      (t[0x300 | (d & 0xff)] as number) ^
      (t[0x200 | ((d >>> 8) & 0xff)] as number) ^
      (t[0x100 | ((d >>> 16) & 0xff)] as number) ^
      (t[d >>> 24] as number);
  }
  return state;
}
