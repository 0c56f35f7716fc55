import { type HeaderField, HeaderToken } from '../http2/header-field.ts';

/** The metadata of a call: its headers that mean nothing to the transport. */
export class Metadata {
  readonly #fields: readonly HeaderField[];

  constructor(fields: readonly HeaderField[]) {
    this.#fields = fields;
  }

  /** The first value of a name, given in lower case. */
  get(name: string): string | undefined {
    for (const field of this.#fields) if (field.name === name) return field.value;
    return undefined;
  }

  getAll(name: string): string[] {
    return this.#fields.filter((field) => field.name === name).map((field) => field.value);
  }

  /** The first value of a `-bin` name. */
  getBinary(name: string): Buffer | undefined {
    const value = this.get(name);
    return value === undefined ? undefined : Buffer.from(value, 'base64');
  }

  *entries(): IterableIterator<[name: string, value: string]> {
    for (const { name, value, token } of this.#fields) {
      if (token === HeaderToken.OTHER || token === HeaderToken.BINARY_METADATA) yield [name, value];
    }
  }
}

/** Standard base64, padded or not, as `-bin` values are sent; commas join several values. */
export function validBinaryValue(value: string): boolean {
  return value.split(',').every((part) => {
    const digits = part.trim().replace(/=+$/, '');
    return /^[A-Za-z0-9+/]*$/.test(digits) && digits.length % 4 !== 1;
  });
}
