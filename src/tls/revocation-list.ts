/*
 * Reads the part of a certificate revocation list (RFC 5280, section 5.1) that has the serial numbers of revoked
 * certificates. The reader is strict, because a reader that skips what it does not know could see a list as empty.
 */

const INTEGER = 0x02;
const UTC_TIME = 0x17;
const GENERALIZED_TIME = 0x18;
const SEQUENCE = 0x30;
const EXTENSIONS = 0xa0;

/**
 * The serial numbers in a list in DER, in hexadecimal without leading zeros. @throws Error if it is not such a list
 */
export function revokedSerials(der: Buffer): Set<string> {
  const file = new DerReader(der);
  const list = file.enter(SEQUENCE);
  file.end();
  const body = list.enter(SEQUENCE);
  // The signature follows: its algorithm and its bits.
  list.enter(SEQUENCE);

  body.skipIf(INTEGER);
  body.enter(SEQUENCE);
  body.enter(SEQUENCE);
  if (!body.nextIsTime()) throw new Error('it has no time');
  body.skip();
  body.skipIf(UTC_TIME);
  body.skipIf(GENERALIZED_TIME);
  const serials = new Set<string>();
  if (body.peek() === SEQUENCE) {
    const entries = body.enter(SEQUENCE);
    while (entries.peek() !== undefined) serials.add(bareSerial(entries.enter(SEQUENCE).enter(INTEGER).hex));
  }
  body.skipIf(EXTENSIONS);
  body.end();
  return serials;
}

/** Upper-case hexadecimal digits without leading zeros. */
export function bareSerial(hex: string): string {
  return hex.toUpperCase().replace(/^0+/, '');
}

class DerReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** The tag of the next value; undefined at the end. */
  peek(): number | undefined {
    return this.#bytes[this.#at];
  }

  nextIsTime(): boolean {
    return this.peek() === UTC_TIME || this.peek() === GENERALIZED_TIME;
  }

  get hex(): string {
    return this.#bytes.toString('hex');
  }

  enter(tag: number): DerReader {
    if (this.peek() !== tag) throw new Error(`tag ${this.peek() ?? 'none'} where ${tag} belongs`);
    return new DerReader(this.#value());
  }

  skip(): void {
    this.#value();
  }

  skipIf(tag: number): void {
    if (this.peek() === tag) this.skip();
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw new Error('it has extra bytes at its end');
  }

  #value(): Buffer {
    const first = this.#byte(this.#at + 1);
    let start = this.#at + 2;
    let length = first;
    if (first >= 0x80) {
      const digits = first - 0x80;
      if (digits === 0 || digits > 4) throw new Error('it has a length that is invalid in DER');
      length = 0;
      for (const end = start + digits; start < end; start++) length = length * 256 + this.#byte(start);
    }
    const end = start + length;
    if (end > this.#bytes.length) throw new Error('it is truncated');
    this.#at = end;
    return this.#bytes.subarray(start, end);
  }

  #byte(at: number): number {
    const byte = this.#bytes[at];
    if (byte === undefined) throw new Error('it is truncated');
    return byte;
  }
}
