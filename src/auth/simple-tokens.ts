import type { Clock } from '../ports/clock.ts';

/** Time after which an unused simple token expires, in milliseconds. */
export const DEFAULT_SIMPLE_TOKEN_TTL_MS = 300_000;
/** How often the owner calls `expire`. */
export const SIMPLE_TOKEN_EXPIRY_LOOP_MS = 1000;

interface Token {
  readonly username: string;
  expiry: number;
}

/**
 * Simple tokens. A token is a random prefix, a dot, and the index of the log entry before the Authenticate entry; etcd
 * uses its applied index at that moment. All members derive the same token from the entry, so a client can use it on
 * any member. Each use extends its life, only on the member where it is used.
 */
export class SimpleTokens {
  readonly #clock: Clock;
  readonly #ttlMs: number;
  /** Undefined while authentication is off; no token is valid then. */
  #tokens: Map<string, Token> | undefined;

  constructor(clock: Clock, ttlMs: number = DEFAULT_SIMPLE_TOKEN_TTL_MS) {
    this.#clock = clock;
    this.#ttlMs = ttlMs > 0 ? ttlMs : DEFAULT_SIMPLE_TOKEN_TTL_MS;
  }

  enable(): void {
    this.#tokens ??= new Map();
  }

  disable(): void {
    this.#tokens = undefined;
  }

  /**
   * @param prefix random; chosen before the entry was proposed
   * @param index index of the entry before the Authenticate entry
   */
  assign(username: string, prefix: string, index: number): string {
    const token = `${prefix}.${index}`;
    this.#tokens?.set(token, { username, expiry: this.#clock.now() + this.#ttlMs });
    return token;
  }

  /**
   * Returns the user of a token and extends the life of the token. The caller has waited until the entry
   * `simpleTokenIndex(token)` is applied on this member.
   */
  user(token: string): string | undefined {
    const found = this.#tokens?.get(token);
    if (found === undefined) return undefined;
    const now = this.#clock.now();
    if (found.expiry < now) return undefined;
    found.expiry = now + this.#ttlMs;
    return found.username;
  }

  invalidateUser(username: string): void {
    if (this.#tokens === undefined) return;
    for (const [token, { username: owner }] of this.#tokens)
      if (owner === username) this.#tokens.delete(token);
  }

  /** Removes expired tokens. */
  expire(): void {
    if (this.#tokens === undefined) return;
    const now = this.#clock.now();
    for (const [token, { expiry }] of this.#tokens) if (expiry < now) this.#tokens.delete(token);
  }
}

/** Returns the index of the log entry that created a simple token; undefined when the text is not a simple token. */
export function simpleTokenIndex(token: string): number | undefined {
  const parts = token.split('.');
  const digits = parts[1];
  if (parts.length !== 2 || digits === undefined || !/^\d{1,20}$/.test(digits)) return undefined;
  const index = Number(digits) + 1;
  return Number.isSafeInteger(index) ? index : undefined;
}
