import { type HeaderField, HeaderToken } from '../http2/header-field.ts';

const METADATA: ReadonlySet<HeaderToken> = new Set([
  HeaderToken.OTHER,
  HeaderToken.BINARY_METADATA,
  HeaderToken.CLIENT_API_VERSION,
]);

/** The metadata of a call: headers without a meaning for the transport. */
export class Metadata {
  /** All headers of the call. */
  readonly fields: readonly HeaderField[];

  constructor(fields: readonly HeaderField[]) {
    this.fields = fields;
  }

  /** The first value of a name, given in lower case. */
  get(name: string): string | undefined {
    for (const field of this.fields) if (field.name === name) return field.value;
    return undefined;
  }

  getAll(name: string): string[] {
    return this.fields.filter((field) => field.name === name).map((field) => field.value);
  }

  /** The first value of a `-bin` name. */
  getBinary(name: string): Buffer | undefined {
    const value = this.get(name);
    return value === undefined ? undefined : Buffer.from(value, 'base64');
  }

  *entries(): IterableIterator<[name: string, value: string]> {
    for (const { name, value, token } of this.fields) if (METADATA.has(token)) yield [name, value];
  }
}

/**
 * The offset of the first byte that makes a `-bin` value invalid base64, padded or not, or -1 if it is valid.
 */
export function illegalBase64At(value: string): number {
  const padded = value.length % 4 === 0;
  const digits = padded ? value.replace(/={1,2}$/, '') : value;
  const illegal = digits.search(/[^A-Za-z0-9+/]/);
  if (illegal >= 0) return illegal;
  return digits.length % 4 === 1 ? digits.length - 1 : -1;
}
