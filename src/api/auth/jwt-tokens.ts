import { jwtVerify, SignJWT } from 'jose';
import type { AuthInfo } from '../../auth/auth-store.ts';
import type { Clock } from '../../ports/clock.ts';
import { EtcdError, GrpcCode } from '../../wire/errors.ts';
import { type JwtKeys, readJwtKeys } from './jwt-keys.ts';
import type { JwtOptions } from './token-options.ts';

/** How many verified tokens are remembered. */
const MAX_REMEMBERED = 4096;
/** Longer tokens are verified each time, so that no client fills the memory. */
const MAX_REMEMBERED_CHARS = 8192;

const VERIFY_ONLY = new EtcdError(GrpcCode.Unknown, 'auth: token signing attempted with verify-only key');

interface Remembered {
  readonly info: AuthInfo;
  /** Seconds since the epoch; Infinity if the token never expires. */
  readonly expiresAt: number;
}

/**
 * JSON web tokens. They are signed and verified with the one configured method. The method that a token's header
 * names is not used, so neither `none` nor another algorithm is accepted. A verified token is remembered until it
 * expires, so that later requests with it need not wait.
 */
export class JwtTokens {
  readonly #options: JwtOptions;
  readonly #keys: JwtKeys;
  readonly #clock: Clock;
  readonly #remembered = new Map<string, Remembered>();
  readonly #verifying = new Map<string, Promise<AuthInfo | undefined>>();

  /** @throws AuthOptionsError */
  constructor(options: JwtOptions, clock: Clock) {
    this.#options = options;
    this.#keys = readJwtKeys(options);
    this.#clock = clock;
  }

  /** Rejects with EtcdError if only a public key is configured. */
  async sign(username: string, revision: number): Promise<string> {
    const { sign } = this.#keys;
    if (sign === undefined) throw VERIFY_ONLY;
    const expiresAt = Math.floor((this.#clock.wall() + this.#options.ttlMs) / 1000);
    return new SignJWT({ username, revision, exp: expiresAt })
      .setProtectedHeader({ alg: this.#options.method, typ: 'JWT' })
      .sign(sign);
  }

  /** The user of a token and the auth revision at which it was made; undefined for an invalid token. */
  identify(token: string): AuthInfo | undefined | Promise<AuthInfo | undefined> {
    const known = this.#remembered.get(token);
    if (known === undefined) return this.#verifyOnce(token);
    if (known.expiresAt > this.#clock.wall() / 1000) return known.info;
    this.#remembered.delete(token);
    return undefined;
  }

  #verifyOnce(token: string): Promise<AuthInfo | undefined> {
    const underWay = this.#verifying.get(token);
    if (underWay !== undefined) return underWay;
    const verifying = this.#verify(token).finally(() => this.#verifying.delete(token));
    this.#verifying.set(token, verifying);
    return verifying;
  }

  async #verify(token: string): Promise<AuthInfo | undefined> {
    try {
      const { payload } = await jwtVerify(token, this.#keys.verify, {
        algorithms: [this.#options.method],
        currentDate: new Date(this.#clock.wall()),
      });
      const { username, revision, exp = Infinity } = payload;
      if (typeof username !== 'string' || typeof revision !== 'number') return undefined;
      if (!(revision >= 0)) return undefined;
      const info = { username, revision: Math.min(Math.trunc(revision), Number.MAX_SAFE_INTEGER) };
      this.#remember(token, { info, expiresAt: exp });
      return info;
    } catch {
      // For any fault, the token is not valid.
      return undefined;
    }
  }

  #remember(token: string, entry: Remembered): void {
    if (token.length > MAX_REMEMBERED_CHARS) return;
    if (this.#remembered.size >= MAX_REMEMBERED) {
      const [oldest] = this.#remembered.keys();
      if (oldest !== undefined) this.#remembered.delete(oldest);
    }
    this.#remembered.set(token, entry);
  }
}
