import { STATIC_TABLE } from './hpack-static-table.ts';

export type HeaderPair = readonly [name: string, value: string];

const EXACT = new Map<string, number>();
const BY_NAME = new Map<string, number>();
STATIC_TABLE.forEach(([name, value], i) => {
  EXACT.set(`${name}\n${value}`, i + 1);
  if (!BY_NAME.has(name)) BY_NAME.set(name, i + 1);
});

function pushInteger(out: number[], value: number, prefixBits: number, flags: number): void {
  const mask = (1 << prefixBits) - 1;
  if (value < mask) {
    out.push(flags | value);
    return;
  }
  out.push(flags | mask);
  let rest = value - mask;
  while (rest >= 0x80) {
    out.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  out.push(rest);
}

function pushString(out: number[], text: string): void {
  pushInteger(out, text.length, 7, 0);
  for (let i = 0; i < text.length; i++) out.push(text.charCodeAt(i) & 0xff);
}

function pushLiteral(out: number[], [name, value]: HeaderPair, prefixBits: number, flags: number): void {
  const index = BY_NAME.get(name) ?? 0;
  pushInteger(out, index, prefixBits, flags);
  if (index === 0) pushString(out, name);
  pushString(out, value);
}

/**
 * Encodes a header block without the dynamic table, so that it may be cached and sent on any connection. Values are
 * latin1.
 */
export function encodeStatic(headers: readonly HeaderPair[]): Buffer {
  const out: number[] = [];
  for (const header of headers) {
    const exact = EXACT.get(`${header[0]}\n${header[1]}`);
    if (exact === undefined) pushLiteral(out, header, 4, 0);
    else pushInteger(out, exact, 7, 0x80);
  }
  return Buffer.from(out);
}

/** A field with incremental indexing: the peer's decoder inserts it into its dynamic table. */
export function encodeIndexed(header: HeaderPair): Buffer {
  const out: number[] = [];
  pushLiteral(out, header, 6, 0x40);
  return Buffer.from(out);
}

/** The bytes a header takes in a dynamic table (RFC 7541 section 4.1). */
export function tableBytes([name, value]: HeaderPair): number {
  return name.length + value.length + 32;
}

/** A dynamic table size update (RFC 7541 section 6.3). */
export function encodeTableSize(bytes: number): Buffer {
  const out: number[] = [];
  pushInteger(out, bytes, 5, 0x20);
  return Buffer.from(out);
}

const DEFAULT_TABLE_BYTES = 4096;
const STATIC_COUNT = STATIC_TABLE.length;

/**
 * Encodes the header blocks of one connection. Blocks that all responses repeat are templates. On first use their
 * fields are added to the peer's dynamic table. After that a block has one byte for each field, and is cached.
 */
export class HpackEncoder {
  readonly #templates: readonly (readonly HeaderPair[])[];
  readonly #cached: (Buffer | undefined)[];
  /** Insertion number of each field. No entry is ever evicted, since fields are inserted only while they fit. */
  readonly #indexed = new Map<string, number>();
  #inserted = 0;
  #used = 0;
  #limit = DEFAULT_TABLE_BYTES;
  #sizeUpdate: Buffer | undefined;

  constructor(templates: readonly (readonly HeaderPair[])[]) {
    this.#templates = templates;
    this.#cached = new Array<Buffer | undefined>(templates.length).fill(undefined);
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. Both sides start over with an empty table. */
  setPeerTableSize(bytes: number): void {
    const limit = Math.min(bytes, DEFAULT_TABLE_BYTES);
    if (limit === this.#limit) return;
    this.#limit = limit;
    this.#indexed.clear();
    this.#cached.fill(undefined);
    this.#inserted = 0;
    this.#used = 0;
    this.#sizeUpdate = Buffer.concat([encodeTableSize(0), encodeTableSize(limit)]);
  }

  /** The block of a template; the caller sends it at once, before any other block of this connection. */
  template(index: number): Buffer {
    const cached = this.#cached[index];
    if (cached !== undefined) return cached;
    const insertedBefore = this.#inserted;
    const parts: Buffer[] = [];
    for (const header of this.#templates[index] ?? []) parts.push(this.#field(header));
    const block = Buffer.concat(parts);
    if (this.#inserted === insertedBefore) this.#cached[index] = block;
    else this.#cached.fill(undefined);
    return this.prefixed(block);
  }

  /** A block of `encodeStatic`, after the pending table size update, if there is one. */
  prefixed(block: Buffer): Buffer {
    if (this.#sizeUpdate === undefined) return block;
    const both = Buffer.concat([this.#sizeUpdate, block]);
    this.#sizeUpdate = undefined;
    return both;
  }

  #field(header: HeaderPair): Buffer {
    const key = `${header[0]}\n${header[1]}`;
    if (EXACT.has(key)) return encodeStatic([header]);
    const insertion = this.#indexed.get(key);
    if (insertion !== undefined) {
      const out: number[] = [];
      pushInteger(out, STATIC_COUNT + this.#inserted - insertion, 7, 0x80);
      return Buffer.from(out);
    }
    const size = tableBytes(header);
    if (this.#used + size > this.#limit) return encodeStatic([header]);
    this.#used += size;
    this.#indexed.set(key, this.#inserted);
    this.#inserted++;
    return encodeIndexed(header);
  }
}
