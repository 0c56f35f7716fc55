/**
 * A JSON reader that records the position of each value, so that errors can contain line and column. Errors of invalid
 * text are those of Go's encoding/json, which clients of etcd's gateway know.
 */

export interface JsonMember {
  readonly name: string;
  /** Offset of the quoted name. */
  readonly start: number;
  /** The name as written, including quotes. */
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

/** The meaning of one code unit of the text: a character, or a byte if the text is not valid UTF-8. */
export type JsonUnit = 'characters' | 'bytes';

/** The text is not valid JSON or does not match the message type. */
export class JsonError extends Error {
  override readonly name = 'JsonError';
}

/** Limits the stack that a malicious text can use. */
const MAX_DEPTH = 1000;

/** Characters of a string that need no decoding. Large values consist mostly of them. */
const PLAIN = /[^"\\\u0000-\u001f]*/y;

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

/** Formats the character at which a scan failed, as Go does. */
function quoteChar(char: string, unit: JsonUnit): string {
  if (char === "'") return `'\\''`;
  if (char === '"') return `'"'`;
  const byte = Buffer.from(char, unit === 'bytes' ? 'latin1' : 'utf8')[0] ?? 0;
  const shown = String.fromCharCode(byte);
  if (byte < 0x20 || byte === 0x7f || shown === '\\') {
    const named = JSON.stringify(shown).slice(1, -1);
    return named.startsWith('\\u') || byte === 0x7f
      ? `'\\x${byte.toString(16).padStart(2, '0')}'`
      : `'${named}'`;
  }
  return `'${shown}'`;
}

interface LoneSurrogate {
  readonly start: number;
  /** The six characters after it. */
  readonly escape: string;
}

/** Formats the error as Go's protojson does. It shows the text where the second half of the pair should be. */
function surrogateText({ start, escape }: LoneSurrogate, end: number): string {
  if (start + 12 > end) return 'proto: unexpected EOF';
  return `proto: syntax error (line 1:${start + 1}): invalid escape code ${JSON.stringify(escape)} in string`;
}

class JsonReader {
  readonly #text: string;
  readonly #unit: JsonUnit;
  #at = 0;
  #depth = 0;
  /** The first lone surrogate. Go's reader reports it only if there is no other error. */
  #loneSurrogate: LoneSurrogate | undefined;

  constructor(text: string, unit: JsonUnit) {
    this.#text = text;
    this.#unit = unit;
  }

  /** Reads the first value and ignores the text after it. */
  read(): JsonValue {
    const value = this.#value();
    if (this.#loneSurrogate !== undefined) throw new JsonError(surrogateText(this.#loneSurrogate, value.end));
    return value;
  }

  #fail(context: string): never {
    const point = this.#text.codePointAt(this.#at);
    if (point === undefined) throw new JsonError('unexpected EOF');
    throw new JsonError(`invalid character ${quoteChar(String.fromCodePoint(point), this.#unit)} ${context}`);
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
    if (this.#depth > MAX_DEPTH) this.#fail('exceeded max depth');
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
      PLAIN.lastIndex = this.#at;
      PLAIN.test(this.#text);
      this.#at = PLAIN.lastIndex;
      const char = this.#peek();
      if (char === '"') break;
      if (char !== '\\') this.#fail('in string literal');
      this.#at += 1;
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
    const unit = parseInt(this.#text.slice(start, this.#at), 16);
    if (unit >= 0xd800 && unit < 0xe000) this.#loneSurrogate ??= this.#surrogateFault(start - 2);
    return String.fromCharCode(unit);
  }

  /** Checks the surrogate escape at `start`. Returns undefined if it is half of a valid pair. */
  #surrogateFault(start: number): LoneSurrogate | undefined {
    const pair = /^\\u[dD][89abAB]..\\u[dD][c-fC-F]../;
    if (pair.test(this.#text.slice(start, start + 12)) || pair.test(this.#text.slice(start - 6, start + 6)))
      return undefined;
    return { start, escape: this.#text.slice(start + 6, start + 12) };
  }
}

/**
 * Reads the first value of `text`, which must not be blank.
 *
 * @throws JsonError
 */
export function readJson(text: string, unit: JsonUnit = 'characters'): JsonValue {
  return new JsonReader(text, unit).read();
}
