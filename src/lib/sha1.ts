/**
 * SHA-1 (FIPS 180-4, section 6.1) of short inputs, for IDs that other implementations derive with it. Not for uses
 * that must resist an attacker.
 *
 * @returns the 20-byte digest
 */
export function sha1(message: Uint8Array): Buffer {
  const blocks = pad(message);
  const state = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0];
  const words = new Uint32Array(80);
  for (let offset = 0; offset < blocks.length; offset += 64) compress(state, words, blocks, offset);
  const digest = Buffer.alloc(20);
  for (const [i, word] of state.entries()) digest.writeUInt32BE(word >>> 0, i * 4);
  return digest;
}

function pad(message: Uint8Array): Buffer {
  const length = Math.ceil((message.length + 9) / 64) * 64;
  const blocks = Buffer.alloc(length);
  blocks.set(message);
  blocks[message.length] = 0x80;
  blocks.writeBigUInt64BE(BigInt(message.length) * 8n, length - 8);
  return blocks;
}

function compress(state: number[], words: Uint32Array, blocks: Buffer, offset: number): void {
  for (let t = 0; t < 16; t++) words[t] = blocks.readUInt32BE(offset + t * 4);
  for (let t = 16; t < 80; t++)
    words[t] = rotate(at(words, t - 3) ^ at(words, t - 8) ^ at(words, t - 14) ^ at(words, t - 16), 1);
  let [a = 0, b = 0, c = 0, d = 0, e = 0] = state;
  for (let t = 0; t < 80; t++) {
    const next = (rotate(a, 5) + mix(t, b, c, d) + e + at(words, t)) | 0;
    e = d;
    d = c;
    c = rotate(b, 30);
    b = a;
    a = next;
  }
  for (const [i, value] of [a, b, c, d, e].entries()) state[i] = ((state[i] ?? 0) + value) | 0;
}

/** The function of three words for this round, plus its constant. */
function mix(t: number, b: number, c: number, d: number): number {
  if (t < 20) return ((b & c) | (~b & d)) + 0x5a827999;
  if (t < 40) return (b ^ c ^ d) + 0x6ed9eba1;
  if (t < 60) return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
  return (b ^ c ^ d) + 0xca62c1d6;
}

function at(words: Uint32Array, index: number): number {
  return words[index] ?? 0;
}

function rotate(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}
