/**
 * A JSON reader that keeps where each value stands, so that refusals can name line and column, and that refuses
 * malformed text in the words of Go's encoding/json, which clients of etcd's gateway know.
 */

export interface JsonMember {
  readonly name: string;
  /** Offset of the quoted name. */
  readonly start: number;
  /** The name as it was written, with its quotes. */
  readonly raw: string;
  readonly value: JsonValue;
}

/** `start` and `end` are offsets into the text. */
export type JsonValue = { readonly start: number; readonly end: number } & (
  | { readonly kind: 'object'; readonly members: readonly JsonMember[] }
  | { readonly kind: 'array'; readonly items: readonly JsonValue[] }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'number' }
  | { readonly kind: 'bool'; readonly value: boolean }
  | { readonly kind: 'null' }
);

/** Text that is no JSON, or that does not fit the message it should be. */
export class JsonError extends Error {
  override readonly name = 'JsonError';
}

/** Bounds the stack that a hostile text can take. */
const MAX_DEPTH = 1000;

const LITERALS = { t: 'true', f: 'false', n: 'null' } as const;
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};

function isDigit(char: string): boolean {
  return char >= '0' && char <= '9';
}

/** As Go prints the byte where a scan failed. */
function quoteChar(char: string): string {
  if (char === "'") return `'\\''`;
  if (char === '"') return `'"'`;
  const byte = Buffer.from(char, 'utf8')[0] ?? 0;
  const shown = String.fromCharCode(byte);
  if (byte < 0x20 || byte === 0x7f || shown === '\\') {
    const named = JSON.stringify(shown).slice(1, -1);
    return named.startsWith('\\u') || byte === 0x7f
      ? `'\\x${byte.toString(16).padStart(2, '0')}'`
      : `'${named}'`;
  }
  return `'${shown}'`;
}

class JsonReader {
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** The first value; what follows it is not looked at. */
  read(): JsonValue {
    return this.#value();
  }

  #fail(context: string): never {
    const point = this.#text.codePointAt(this.#at);
    if (point === undefined) throw new JsonError('unexpected EOF');
    throw new JsonError(`invalid character ${quoteChar(String.fromCodePoint(point))} ${context}`);
  }

  #peek(): string {
    return this.#text.charAt(this.#at);
  }

  #space(): void {
    for (;;) {
      const char = this.#peek();
      if (char !== ' ' && char !== '\n' && char !== '\t' && char !== '\r') return;
      this.#at += 1;
    }
  }

  #value(): JsonValue {
    this.#space();
    const start = this.#at;
    const char = this.#peek();
    switch (char) {
      case '{':
        return this.#nested(() => this.#object(start));
      case '[':
        return this.#nested(() => this.#array(start));
      case '"': {
        const value = this.#string();
        return { kind: 'string', value, start, end: this.#at };
      }
      case 't':
      case 'f':
        this.#literal(LITERALS[char]);
        return { kind: 'bool', value: char === 't', start, end: this.#at };
      case 'n':
        this.#literal(LITERALS.n);
        return { kind: 'null', start, end: this.#at };
      default:
        if (char !== '-' && !isDigit(char)) this.#fail('looking for beginning of value');
        this.#number();
        return { kind: 'number', start, end: this.#at };
    }
  }

  #nested(read: () => JsonValue): JsonValue {
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH) throw new JsonError('exceeded max depth');
    const value = read();
    this.#depth -= 1;
    return value;
  }

  #object(start: number): JsonValue {
    const members: JsonMember[] = [];
    this.#at += 1;
    this.#space();
    if (this.#peek() === '}') this.#at += 1;
    else {
      do {
        this.#space();
        const nameStart = this.#at;
        if (this.#peek() !== '"') this.#fail('looking for beginning of object key string');
        const name = this.#string();
        const raw = this.#text.slice(nameStart, this.#at);
        this.#space();
        if (this.#peek() !== ':') this.#fail('after object key');
        this.#at += 1;
        members.push({ name, start: nameStart, raw, value: this.#value() });
      } while (this.#another('}', 'after object key:value pair'));
    }
    return { kind: 'object', members, start, end: this.#at };
  }

  #array(start: number): JsonValue {
    const items: JsonValue[] = [];
    this.#at += 1;
    this.#space();
    if (this.#peek() === ']') this.#at += 1;
    else {
      do items.push(this.#value());
      while (this.#another(']', 'after array element'));
    }
    return { kind: 'array', items, start, end: this.#at };
  }

  /** Whether a comma follows rather than the closing bracket. */
  #another(close: string, context: string): boolean {
    this.#space();
    const char = this.#peek();
    if (char !== ',' && char !== close) this.#fail(context);
    this.#at += 1;
    return char === ',';
  }

  #literal(word: string): void {
    for (const expected of word) {
      if (this.#peek() !== expected) this.#fail(`in literal ${word} (expecting '${expected}')`);
      this.#at += 1;
    }
  }

  #digits(context: string): void {
    if (!isDigit(this.#peek())) this.#fail(context);
    while (isDigit(this.#peek())) this.#at += 1;
  }

  #number(): void {
    if (this.#peek() === '-') this.#at += 1;
    if (this.#peek() === '0') this.#at += 1;
    else this.#digits('in numeric literal');
    if (this.#peek() === '.') {
      this.#at += 1;
      this.#digits('after decimal point in numeric literal');
    }
    if (this.#peek() === 'e' || this.#peek() === 'E') {
      this.#at += 1;
      if (this.#peek() === '+' || this.#peek() === '-') this.#at += 1;
      this.#digits('in exponent of numeric literal');
    }
  }

  #string(): string {
    this.#at += 1;
    let value = '';
    let from = this.#at;
    for (;;) {
      const char = this.#peek();
      if (char === '"') break;
      if (char < ' ') this.#fail('in string literal');
      this.#at += 1;
      if (char !== '\\') continue;
      value += this.#text.slice(from, this.#at - 1) + this.#escape();
      from = this.#at;
    }
    value += this.#text.slice(from, this.#at);
    this.#at += 1;
    return value;
  }

  #escape(): string {
    const char = this.#peek();
    if (char !== 'u') {
      const escaped = ESCAPES[char];
      if (escaped === undefined) this.#fail('in string escape code');
      this.#at += 1;
      return escaped;
    }
    this.#at += 1;
    const start = this.#at;
    while (this.#at < start + 4) {
      if (!/^[0-9a-fA-F]$/.test(this.#peek())) this.#fail('in \\u hexadecimal character escape');
      this.#at += 1;
    }
    return String.fromCharCode(parseInt(this.#text.slice(start, this.#at), 16));
  }
}

/**
 * Reads the first value of `text`, which holds more than white space.
 *
 * @throws JsonError
 */
export function readJson(text: string): JsonValue {
  return new JsonReader(text).read();
}
