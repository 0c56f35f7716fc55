import type { Steps } from '../lib/steps.ts';

/*
 * Reads the part of a certificate revocation list (RFC 5280, section 5.1) that has the serial numbers of revoked
 * certificates. The reader is strict, because a reader that skips what it does not know could see a list as empty.
 */

const INTEGER = 0x02;
const UTC_TIME = 0x17;
const GENERALIZED_TIME = 0x18;
const SEQUENCE = 0x30;
const EXTENSIONS = 0xa0;

/** Entries read in one step: about a millisecond of work. */
const ENTRIES_PER_STEP = 1000;
/** Bytes of base64 decoded in one step; a multiple of four. */
const BASE64_PER_STEP = 256 * 1024;

const PEM_BEGIN = '-----BEGIN X509 CRL-----';
const PEM_END = '-----END X509 CRL-----';

/** Serial numbers in upper-case hexadecimal without leading zeros. */
export class SerialNumbers {
  /** By the last two digits: one large set would move all of its entries in one step when it grows. */
  readonly #parts = new Map<string, Set<string>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(serial: string): void {
    const end = serial.slice(-2);
    const part = this.#parts.get(end);
    if (part?.has(serial) === true) return;
    if (part === undefined) this.#parts.set(end, new Set([serial]));
    else part.add(serial);
    this.#size += 1;
  }

  has(serial: string): boolean {
    return this.#parts.get(serial.slice(-2))?.has(serial) === true;
  }
}

/** The serial numbers in a list in DER or PEM. @throws Error if it is not such a list */
export function* readRevocationList(bytes: Buffer): Steps<SerialNumbers> {
  const begin = bytes.indexOf(PEM_BEGIN);
  const end = begin < 0 ? -1 : bytes.indexOf(PEM_END, begin);
  return yield* revokedSerials(
    end < 0 ? bytes : yield* decodeBase64(bytes.subarray(begin + PEM_BEGIN.length, end)),
  );
}

function* decodeBase64(text: Buffer): Steps<Buffer> {
  const decoded: Buffer[] = [];
  let rest = '';
  for (let at = 0; at < text.length; at += BASE64_PER_STEP) {
    if (at > 0) yield;
    const digits = rest + text.toString('latin1', at, at + BASE64_PER_STEP).replace(/\s+/g, '');
    const whole = digits.length - (digits.length % 4);
    decoded.push(Buffer.from(digits.slice(0, whole), 'base64'));
    rest = digits.slice(whole);
  }
  decoded.push(Buffer.from(rest, 'base64'));
  return Buffer.concat(decoded);
}

function* revokedSerials(der: Buffer): Steps<SerialNumbers> {
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
  const serials = new SerialNumbers();
  if (body.peek() === SEQUENCE) {
    const entries = body.enter(SEQUENCE);
    for (let read = 1; entries.peek() !== undefined; read += 1) {
      serials.add(bareSerial(entries.enter(SEQUENCE).enter(INTEGER).hex));
      if (read % ENTRIES_PER_STEP === 0) yield;
    }
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
