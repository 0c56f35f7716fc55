/** Varints for messages that are encoded and decoded by hand. */

const TWO_32 = 2 ** 32;
const TWO_35 = 2 ** 35;

/** Returns the size of an unsigned varint up to 2^53. */
export function varintSize(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  if (value < 0x1000_0000) return 4;
  let size = 5;
  for (let rest = Math.floor(value / TWO_35); rest > 0; rest = Math.floor(rest / 0x80)) size += 1;
  return size;
}

/** Writes an unsigned varint up to 2^53. Returns the position after it. */
export function writeVarint(target: Buffer, at: number, value: number): number {
  let position = at;
  let rest = value;
  while (rest >= TWO_32) {
    target[position++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  let low = rest >>> 0;
  while (low >= 0x80) {
    target[position++] = (low & 0x7f) | 0x80;
    low >>>= 7;
  }
  target[position++] = low;
  return position;
}

const MAX_VARINT_BYTES = 10;

/** Reads varints of up to 64 bits as halves of 32 bits each, without bigints. */
export class VarintHalves {
  low = 0;
  high = 0;

  /** Reads the varint at a position. Returns the number of its bytes; 0 if it is cut off, -1 if it is too long. */
  read(bytes: Uint8Array, at: number): number {
    let low = 0;
    let high = 0;
    for (let index = 0; index < MAX_VARINT_BYTES; index++) {
      const byte = bytes[at + index];
      if (byte === undefined) return 0;
      const bits = byte & 0x7f;
      const shift = index * 7;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else high |= bits << (shift - 32);
      if (byte < 0x80) {
        this.low = low >>> 0;
        this.high = high >>> 0;
        return index + 1;
      }
    }
    return -1;
  }

  /** The value as a number; exact up to 2^53. */
  get number(): number {
    return this.high * TWO_32 + this.low;
  }
}

/** Combines and splits 64-bit integers without intermediate bigints. */
const halves = new DataView(new ArrayBuffer(8));

/** Returns the size of a 64-bit varint, signed or unsigned. */
export function bigVarintSize(value: bigint): number {
  if (value === 0n) return 1;
  halves.setBigUint64(0, value);
  const high = halves.getUint32(0);
  const bits = high === 0 ? 32 - Math.clz32(halves.getUint32(4)) : 64 - Math.clz32(high);
  return Math.ceil(bits / 7);
}

/** Writes the low 64 bits of `value`, signed or unsigned. */
export function writeBigVarint(target: Buffer, at: number, value: bigint): number {
  halves.setBigUint64(0, value);
  let high = halves.getUint32(0);
  let low = halves.getUint32(4);
  let position = at;
  while (high !== 0 || low >= 0x80) {
    target[position++] = (low & 0x7f) | 0x80;
    low = ((low >>> 7) | (high << 25)) >>> 0;
    high >>>= 7;
  }
  target[position++] = low;
  return position;
}
