/**
 * Bit length of each symbol's code, the end-of-string symbol (256) last. The code of RFC 7541 appendix B is
 * canonical (ordered by length, then by symbol), so the lengths determine it.
 */
const CODE_LENGTHS: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28,
  28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7,
  8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19,
  13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13,
  28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21,
  22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23,
  22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
  19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25,
  25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

const END_OF_STRING = 256;
const SHORTEST_CODE_BITS = 5;
const FAILED = 0xffff;
/** The steps from this state have not been computed yet. */
const UNKNOWN = 0xfffe;
const STATES = 256;
const MAX_PADDING_BITS = 7;

/** One code as its bits, most significant first. */
export interface HuffmanCode {
  readonly bits: number;
  readonly length: number;
}

export function huffmanCodes(): HuffmanCode[] {
  const order = CODE_LENGTHS.map((length, symbol) => ({ length, symbol }));
  order.sort((a, b) => a.length - b.length || a.symbol - b.symbol);
  const codes: HuffmanCode[] = new Array<HuffmanCode>(order.length);
  let bits = 0;
  let previous = 0;
  for (const { length, symbol } of order) {
    bits *= 2 ** (length - previous);
    previous = length;
    codes[symbol] = { bits, length };
    bits++;
  }
  return codes;
}

/**
 * The decoder as a machine that reads four bits a step. Its states are the inner nodes of the code's tree. The steps from
 * a state are computed when it is first reached, because few are ever needed: to compute all of them at the start took
 * 8 ms of processor time, most of it in V8's compiler.
 */
class Machine {
  /** `state * 16 + nibble` to the next state, FAILED or UNKNOWN. */
  readonly next = new Uint16Array(STATES * 16).fill(UNKNOWN);
  /** `state * 16 + nibble` to the symbol completed within that nibble, or -1; codes have at least 5 bits. */
  readonly symbol = new Int16Array(STATES * 16).fill(-1);
  /** 1 for states in which a string may end: at most 7 bits of padding, all ones (RFC 7541 section 5.2). */
  readonly accepting = new Uint8Array(STATES);
  /** `2 * node + bit` to an inner node, or to -1 - symbol for a leaf; 0 is unset, as the root has no parent. */
  readonly #children = new Int32Array(STATES * 2);

  constructor() {
    const children = this.#children;
    let nodes = 1;
    huffmanCodes().forEach(({ bits, length }, symbol) => {
      let node = 0;
      for (let i = length - 1; i > 0; i--) {
        const slot = node * 2 + ((bits >>> i) & 1);
        if (children[slot] === 0) children[slot] = nodes++;
        node = children[slot] as number;
      }
      children[node * 2 + (bits & 1)] = -1 - symbol;
    });
    let padding = 0;
    for (let length = 0; length <= MAX_PADDING_BITS; length++) {
      this.accepting[padding] = 1;
      padding = children[padding * 2 + 1] as number;
    }
  }

  /** Computes the steps from a state. */
  reach(state: number): void {
    for (let nibble = 0; nibble < 16; nibble++) {
      const entry = state * 16 + nibble;
      let node = state;
      for (let i = 3; i >= 0; i--) {
        const child = this.#children[node * 2 + ((nibble >> i) & 1)] as number;
        if (child >= 0) {
          node = child;
          continue;
        }
        const decoded = -1 - child;
        if (decoded === END_OF_STRING) {
          node = FAILED;
          break;
        }
        this.symbol[entry] = decoded;
        node = 0;
      }
      this.next[entry] = node;
    }
  }
}

let machine: Machine | undefined;
let scratch = Buffer.allocUnsafeSlow(1024);

/**
 * Decodes `source[start..end)` as a Huffman-coded string literal into a latin1 string, four bits a step. Returns
 * `undefined` for an end-of-string symbol, and for padding that is too long or not all ones.
 */
export function huffmanDecode(source: Buffer, start: number, end: number): string | undefined {
  const most = Math.floor(((end - start) * 8) / SHORTEST_CODE_BITS) + 1;
  if (scratch.length < most) scratch = Buffer.allocUnsafeSlow(most * 2);
  machine ??= new Machine();
  const { next, symbol, accepting } = machine;
  let length = 0;
  let state = 0;
  for (let i = start; i < end; i++) {
    const byte = source[i] as number;
    let entry = state * 16 + (byte >> 4);
    if (next[entry] === UNKNOWN) machine.reach(state);
    state = next[entry] as number;
    if (state === FAILED) return undefined;
    let decoded = symbol[entry] as number;
    if (decoded >= 0) scratch[length++] = decoded;
    entry = state * 16 + (byte & 15);
    if (next[entry] === UNKNOWN) machine.reach(state);
    state = next[entry] as number;
    if (state === FAILED) return undefined;
    decoded = symbol[entry] as number;
    if (decoded >= 0) scratch[length++] = decoded;
  }
  if (accepting[state] !== 1) return undefined;
  return scratch.toString('latin1', 0, length);
}
