/**
 * What a header name means to the server, as a number, so that the hot path compares no strings. OTHER names are
 * metadata.
 */
export const HeaderToken = {
  OTHER: 0,
  METHOD: 1,
  SCHEME: 2,
  AUTHORITY: 3,
  PATH: 4,
  UNKNOWN_PSEUDO: 5,
  /** `connection` and similar names, which are forbidden in HTTP/2 (RFC 9113 section 8.2.2). */
  CONNECTION_SPECIFIC: 6,
  TE: 7,
  CONTENT_LENGTH: 8,
  CONTENT_TYPE: 9,
  HOST: 10,
  GRPC_TIMEOUT: 11,
  GRPC_ENCODING: 12,
  GRPC_ACCEPT_ENCODING: 13,
  /** Metadata whose name ends in `-bin`: base64. */
  BINARY_METADATA: 14,
  /** Metadata that each call of an etcd client carries. */
  CLIENT_API_VERSION: 15,
} as const;
export type HeaderToken = (typeof HeaderToken)[keyof typeof HeaderToken];

const TOKENS = new Map<string, HeaderToken>([
  [':method', HeaderToken.METHOD],
  [':scheme', HeaderToken.SCHEME],
  [':authority', HeaderToken.AUTHORITY],
  [':path', HeaderToken.PATH],
  ['connection', HeaderToken.CONNECTION_SPECIFIC],
  ['keep-alive', HeaderToken.CONNECTION_SPECIFIC],
  ['proxy-connection', HeaderToken.CONNECTION_SPECIFIC],
  ['transfer-encoding', HeaderToken.CONNECTION_SPECIFIC],
  ['upgrade', HeaderToken.CONNECTION_SPECIFIC],
  ['te', HeaderToken.TE],
  ['content-length', HeaderToken.CONTENT_LENGTH],
  ['content-type', HeaderToken.CONTENT_TYPE],
  ['host', HeaderToken.HOST],
  ['grpc-timeout', HeaderToken.GRPC_TIMEOUT],
  ['grpc-encoding', HeaderToken.GRPC_ENCODING],
  ['grpc-accept-encoding', HeaderToken.GRPC_ACCEPT_ENCODING],
  ['client-api-version', HeaderToken.CLIENT_API_VERSION],
]);

/** RFC 7541 section 4.1: the accounting size of an entry beyond its name and value. */
const ENTRY_OVERHEAD_BYTES = 32;

const LOWER_CASE_NAME = /^:?[!#$%&'*+\-.^_`|~0-9a-z]+$/;
/** What RFC 9113 section 8.2.1 forbids in a value. */
const FORBIDDEN_IN_VALUE = /[\u0000\r\n]|^[ \t]|[ \t]$/;

function tokenOf(name: string): HeaderToken {
  const token = TOKENS.get(name);
  if (token !== undefined) return token;
  if (name.startsWith(':')) return HeaderToken.UNKNOWN_PSEUDO;
  return name.endsWith('-bin') ? HeaderToken.BINARY_METADATA : HeaderToken.OTHER;
}

/**
 * One decoded header field, immutable. Table entries are shared by all requests that refer to them, so meaning and
 * validity are computed once.
 */
export class HeaderField {
  readonly name: string;
  /** Bytes as latin1. */
  readonly value: string;
  readonly token: HeaderToken;
  readonly validName: boolean;
  /** Neither name nor value holds a byte that RFC 9113 section 8.2.1 calls malformed. */
  readonly valid: boolean;
  /** Accounting size in bytes (RFC 7541 section 4.1). */
  readonly size: number;

  /** `nameFrom` is an entry known to have the same name. */
  constructor(name: string, value: string, nameFrom?: HeaderField) {
    this.name = name;
    this.value = value;
    this.token = nameFrom === undefined ? tokenOf(name) : nameFrom.token;
    this.validName = nameFrom === undefined ? LOWER_CASE_NAME.test(name) : nameFrom.validName;
    this.valid = this.validName && !FORBIDDEN_IN_VALUE.test(value);
    this.size = name.length + value.length + ENTRY_OVERHEAD_BYTES;
  }
}

/** The version of the client's library in a request's headers, or an empty text. */
export function versionIn(fields: readonly HeaderField[]): string {
  for (const field of fields) if (field.token === HeaderToken.CLIENT_API_VERSION) return field.value;
  return '';
}
