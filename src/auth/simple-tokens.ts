import type { Clock } from '../ports/clock.ts';

/** How long a simple token lives without being used, in milliseconds. */
export const DEFAULT_SIMPLE_TOKEN_TTL_MS = 300_000;
/** How often the owner calls `expire`. */
export const SIMPLE_TOKEN_EXPIRY_LOOP_MS = 1000;

interface Token {
  readonly username: string;
  expiry: number;
}

/**
 * Tokens of the kind "random prefix, dot, index of the log entry before the one that made it": etcd's count of what
 * is applied while it is made. Every member derives the same token from the entry, so a client may use it anywhere;
 * each use lets it live on, on the member where it was used.
 */
export class SimpleTokens {
  readonly #clock: Clock;
  readonly #ttlMs: number;
  /** Undefined while authentication is off: then no token is valid, and none is kept. */
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
   * @param prefix drawn at random before the entry was proposed
   * @param index of the entry before it
   */
  assign(username: string, prefix: string, index: number): string {
    const token = `${prefix}.${index}`;
    this.#tokens?.set(token, { username, expiry: this.#clock.now() + this.#ttlMs });
    return token;
  }

  /**
   * The user a token belongs to, whose life it prolongs. The caller has waited until the entry of
   * `simpleTokenIndex(token)` is applied here.
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

  /** Forgets tokens past their time. */
  expire(): void {
    if (this.#tokens === undefined) return;
    const now = this.#clock.now();
    for (const [token, { expiry }] of this.#tokens) if (expiry < now) this.#tokens.delete(token);
  }
}

/** The index of the log entry that made a simple token; undefined when the text can't be one. */
export function simpleTokenIndex(token: string): number | undefined {
  const parts = token.split('.');
  const digits = parts[1];
  if (parts.length !== 2 || digits === undefined || !/^\d{1,20}$/.test(digits)) return undefined;
  const index = Number(digits) + 1;
  return Number.isSafeInteger(index) ? index : undefined;
}
