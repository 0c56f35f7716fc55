import { parseGoDuration } from '../../config/go-syntax.ts';

/** The value of `--auth-token` is invalid. The message begins as etcd's does and says what is wrong. */
export class AuthOptionsError extends Error {
  override readonly name = 'AuthOptionsError';
}

const INVALID_OPTIONS = 'auth: invalid auth options';
const DEFAULT_TTL_MS = 300_000;
const METHODS = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'HS256', 'HS384', 'HS512'],
] as const;
export type SignMethod = (typeof METHODS)[number];

export interface JwtOptions {
  readonly method: SignMethod;
  /** Empty if not given. */
  readonly publicKeyFile: string;
  readonly privateKeyFile: string;
  readonly ttlMs: number;
  /** Options that are unknown. */
  readonly unknown: readonly string[];
}

export type TokenOptions =
  | { readonly kind: 'simple' }
  | { readonly kind: 'jwt'; readonly jwt: JwtOptions }
  /** No token is made or accepted. */
  | { readonly kind: 'none' };

/**
 * Reads `simple`, `jwt,sign-method=..,pub-key=..,priv-key=..,ttl=..` or nothing.
 *
 * @throws AuthOptionsError
 */
export function parseTokenOptions(text: string): TokenOptions {
  const [kind = '', ...parts] = text.split(',');
  const options = new Map<string, string>();
  for (const part of parts) {
    const [name = '', value, ...more] = part.split('=');
    if (value === undefined || more.length > 0) fail(`"${part}" is not of the form name=value`);
    else if (options.has(name)) fail(`"${name}" is given twice`);
    else options.set(name, value);
  }
  if (kind === 'simple') return { kind };
  if (kind === '') return { kind: 'none' };
  if (kind === 'jwt') return { kind, jwt: jwtOptions(options) };
  return fail(`there is no kind of token "${kind}"`);
}

function jwtOptions(options: ReadonlyMap<string, string>): JwtOptions {
  const given = options.get('sign-method') ?? '';
  if (given === 'none') throw new AuthOptionsError('unsupported signing method: none');
  const method = METHODS.find((name) => name === given);
  if (method === undefined) return fail(`there is no signing method "${given}"`);
  const ttl = options.get('ttl') ?? '';
  const ttlMs = ttl === '' ? DEFAULT_TTL_MS : parseGoDuration(ttl);
  if (ttlMs === undefined) return fail(`"${ttl}" is no duration`);
  const known = ['sign-method', 'pub-key', 'priv-key', 'ttl'];
  return {
    method,
    ttlMs,
    publicKeyFile: options.get('pub-key') ?? '',
    privateKeyFile: options.get('priv-key') ?? '',
    unknown: [...options.keys()].filter((name) => !known.includes(name)),
  };
}

function fail(reason: string): never {
  throw new AuthOptionsError(`${INVALID_OPTIONS}: ${reason}`);
}
