import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

/** A login to remember. */
export interface RememberedLogin {
  readonly username: string;
  readonly password: string;
  readonly hash: Buffer;
}

interface Entry {
  readonly proof: Buffer;
  readonly expiresAt: number;
}

/** How long a correct password need not be hashed again, in milliseconds since the hash. Use does not extend it. */
const TTL_MS = 60_000;
/** How many users are remembered. */
const MAX_USERS = 4096;

/**
 * Remembers passwords that were correct recently, as keyed digests. The key exists only in the memory of this
 * process. The digest includes the stored hash, so a changed user or password no longer matches.
 */
export class RecentLogins {
  /** Made with the first login. */
  #key: Buffer | undefined;
  readonly #now: () => number;
  readonly #entries = new Map<string, Entry>();

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  isKnown(login: RememberedLogin): boolean {
    const entry = this.#entries.get(login.username);
    if (entry === undefined) return false;
    if (entry.expiresAt <= this.#now()) {
      this.#entries.delete(login.username);
      return false;
    }
    return timingSafeEqual(entry.proof, this.#proof(login));
  }

  remember(login: RememberedLogin): void {
    this.#entries.delete(login.username);
    if (this.#entries.size >= MAX_USERS) {
      const [oldest] = this.#entries.keys();
      if (oldest !== undefined) this.#entries.delete(oldest);
    }
    this.#entries.set(login.username, { proof: this.#proof(login), expiresAt: this.#now() + TTL_MS });
  }

  #proof({ password, hash }: RememberedLogin): Buffer {
    // The length comes first. Otherwise bytes could move from one part to the other.
    const length = Buffer.alloc(4);
    length.writeUInt32BE(hash.length);
    return createHmac('sha256', (this.#key ??= randomBytes(32)))
      .update(length)
      .update(hash)
      .update(password)
      .digest();
  }
}
