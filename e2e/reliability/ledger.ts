import { SeededRandom } from '../../src/lib/seeded-random.ts';

const NUMBER_BYTES = 8;

interface Kept {
  readonly number: number;
  readonly revision: number;
}

/** Records sent and acknowledged values. Each key has one writer, whose values are increasing numbers. */
export class Ledger {
  acknowledged = 0;
  readonly #sent = new Map<string, number>();
  readonly #kept = new Map<string, Kept>();
  readonly #noise: Buffer;

  constructor(valueBytes: number) {
    this.#noise = noise(Math.max(valueBytes, NUMBER_BYTES));
  }

  /** Returns the next value of a key. It cannot be compressed. */
  next(key: string): { number: number; value: Buffer } {
    const number = (this.#sent.get(key) ?? 0) + 1;
    this.#sent.set(key, number);
    const value = Buffer.from(this.#noise);
    value.writeDoubleBE(number);
    return { number, value };
  }

  acknowledge(key: string, kept: Kept): void {
    this.#kept.set(key, kept);
    this.acknowledged += 1;
  }

  /** Returns the acknowledged values by key. */
  snapshot(): ReadonlyMap<string, Kept> {
    return new Map(this.#kept);
  }

  /** Checks a value that was read. @returns the error, if any */
  fault(key: string, value: Buffer | undefined, kept: Kept): string | undefined {
    if (value === undefined) return `${key}, acknowledged at revision ${kept.revision}, is lost`;
    const number = value.readDoubleBE();
    if (number < kept.number) return `${key} has value ${number}, but ${kept.number} was acknowledged`;
    if (number > (this.#sent.get(key) ?? 0)) return `${key} has value ${number}, which was never sent`;
    const isWhole =
      value.length === this.#noise.length &&
      value.subarray(NUMBER_BYTES).equals(this.#noise.subarray(NUMBER_BYTES));
    return isWhole ? undefined : `the value of ${key} is damaged`;
  }
}

function noise(length: number): Buffer {
  const random = new SeededRandom(length);
  const bytes = Buffer.alloc(Math.ceil(length / 4) * 4);
  for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt32LE(random.uint32(), at);
  return bytes.subarray(0, length);
}
