import { randomBytes } from 'node:crypto';
import type { AuthInfo } from '../../auth/auth-store.ts';
import { SimpleTokens, simpleTokenIndex } from '../../auth/simple-tokens.ts';
import type { Clock } from '../../ports/clock.ts';
import { EtcdError, errors } from '../../wire/errors.ts';
import { JwtTokens } from './jwt-tokens.ts';
import { parseTokenOptions } from './token-options.ts';

/** The parts of the auth store and the raft log that tokens need. */
export interface TokenContext {
  readonly authRevision: () => number;
  /**
   * Whether the entry is applied here. If it is not, a promise that waits for it; the promise resolves to false after
   * a timeout.
   */
  readonly whenApplied: (index: number) => boolean | Promise<boolean>;
}

/** Tokens of the configured kind. */
export interface TokenProvider {
  /** The random prefix of a simple token, drawn by the proposer of its entry; empty for other kinds. */
  drawPrefix(): string;
  /**
   * Makes the token from the result of the applied entry: for a simple token it is the result itself. Rejects with
   * EtcdError.
   */
  finish(username: string, applied: string, revision: number): string | Promise<string>;
  /** Undefined for an invalid token. */
  identify(token: string, context: TokenContext): AuthInfo | undefined | Promise<AuthInfo | undefined>;
}

export interface OpenedTokens {
  readonly provider: TokenProvider;
  /** For the member, if raft entries make the tokens. */
  readonly simple: SimpleTokens | undefined;
  /** For the log: unknown options. */
  readonly unknownOptions: readonly string[];
}

/**
 * @param text `--auth-token`
 * @throws AuthOptionsError
 */
export function openTokens(text: string, simpleTtlMs: number, clock: Clock): OpenedTokens {
  const options = parseTokenOptions(text);
  switch (options.kind) {
    case 'simple': {
      const simple = new SimpleTokens(clock, simpleTtlMs);
      return { provider: new SimpleTokenProvider(simple), simple, unknownOptions: [] };
    }
    case 'jwt': {
      const provider = new JwtTokenProvider(new JwtTokens(options.jwt, clock));
      return { provider, simple: undefined, unknownOptions: options.jwt.unknown };
    }
    case 'none':
      return { provider: noTokens, simple: undefined, unknownOptions: [] };
  }
}

class SimpleTokenProvider implements TokenProvider {
  readonly #tokens: SimpleTokens;

  constructor(tokens: SimpleTokens) {
    this.#tokens = tokens;
  }

  drawPrefix(): string {
    return randomLetters(PREFIX_LETTERS);
  }

  finish(_username: string, applied: string): string {
    return applied;
  }

  identify(token: string, context: TokenContext): AuthInfo | undefined | Promise<AuthInfo | undefined> {
    const index = simpleTokenIndex(token);
    if (index === undefined) return undefined;
    const look = (isApplied: boolean): AuthInfo | undefined => {
      const username = isApplied ? this.#tokens.user(token) : undefined;
      return username === undefined ? undefined : { username, revision: context.authRevision() };
    };
    const applied = context.whenApplied(index);
    return typeof applied === 'boolean' ? look(applied) : applied.then(look);
  }
}

class JwtTokenProvider implements TokenProvider {
  readonly #tokens: JwtTokens;

  constructor(tokens: JwtTokens) {
    this.#tokens = tokens;
  }

  drawPrefix(): string {
    return '';
  }

  finish(username: string, _applied: string, revision: number): Promise<string> {
    return this.#tokens.sign(username, revision);
  }

  identify(token: string): AuthInfo | undefined | Promise<AuthInfo | undefined> {
    return this.#tokens.identify(token);
  }
}

const noTokens: TokenProvider = {
  drawPrefix: () => '',
  finish: () => Promise.reject(new EtcdError(errors.AuthFailed.code, errors.AuthFailed.message)),
  identify: () => undefined,
};

const PREFIX_LETTERS = 16;
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
/** Bytes from this value on would make some letters more likely. */
const FAIR_BYTES = 256 - (256 % LETTERS.length);

function randomLetters(count: number): string {
  let letters = '';
  while (letters.length < count) {
    for (const byte of randomBytes(count)) {
      if (byte < FAIR_BYTES && letters.length < count) letters += LETTERS.charAt(byte % LETTERS.length);
    }
  }
  return letters;
}
