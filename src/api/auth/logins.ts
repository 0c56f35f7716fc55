import { availableParallelism } from 'node:os';
import type { Config } from '../../config/config.ts';
import { bcryptCosts } from '../../config/limits.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Logger } from '../../ports/logger.ts';
import { SIMPLE_TOKEN_EXPIRY_LOOP_MS } from '../../auth/simple-tokens.ts';
import type { Member } from '../../server/member.ts';
import { AppliedIndexWait } from './applied-index.ts';
import { makeIdentify } from './identify.ts';
import { PasswordHasher } from './password-hasher.ts';
import { type OpenedTokens, openTokens } from './token-provider.ts';

type Identify = ReturnType<typeof makeIdentify>;

/** Hashing leaves one processor to the rest of the server. */
const MAX_THREADS = 4;

/**
 * The tokens and passwords of a server, as configured:
 *
 *     const logins = new Logins(config, clock, logger);
 *     const { simple } = logins.tokens;
 *     const member = new Member({ ..., ...(simple && { tokens: simple }) });
 *     const identify = logins.connect(member);
 */
export class Logins {
  readonly tokens: OpenedTokens;
  readonly passwords: PasswordHasher;
  readonly logger: Logger;
  readonly #clientCertAuth: boolean;
  #stopExpiring: (() => void) | undefined;

  /** @throws AuthOptionsError */
  constructor(config: Config, clock: Clock, logger: Logger) {
    this.logger = logger;
    this.tokens = openTokens(config.authToken, config.authTokenTtlSeconds * 1000, clock);
    this.passwords = new PasswordHasher({
      cost: bcryptCost(config, logger),
      threads: Math.max(1, Math.min(MAX_THREADS, availableParallelism() - 1)),
    });
    this.#clientCertAuth = config.clientTls.clientCertAuth;
    const { simple, unknownOptions } = this.tokens;
    if (simple !== undefined) logger.warn('simple token is not cryptographically signed');
    if (unknownOptions.length > 0) logger.warn('unknown JWT options', { keys: unknownOptions });
  }

  /** Starts to follow a member. Returns the function that identifies the user of a call. */
  connect(member: Member): Identify {
    const { auth, applied, scheduler, config } = member;
    const appliedWait = new AppliedIndexWait(() => applied.index, scheduler, config.requestTimeoutMs);
    member.onTurn(() => appliedWait.check());
    const { simple, provider } = this.tokens;
    if (simple !== undefined)
      this.#stopExpiring = scheduler.every(SIMPLE_TOKEN_EXPIRY_LOOP_MS, () => simple.expire());
    return makeIdentify({
      auth,
      tokens: provider,
      context: {
        authRevision: () => auth.revision,
        whenApplied: (index) => appliedWait.whenApplied(index),
      },
      clientCertAuth: this.#clientCertAuth,
      logger: this.logger,
    });
  }

  close(): void {
    this.#stopExpiring?.();
    this.passwords.close();
  }
}

function bcryptCost({ bcryptCost: cost }: Config, logger: Logger): number {
  const { min, max, default: usual } = bcryptCosts;
  if (cost >= min && cost <= max) return cost;
  logger.warn('use default bcrypt cost instead of the invalid given cost', {
    'min-cost': min,
    'max-cost': max,
    'default-cost': usual,
    'given-cost': cost,
  });
  return usual;
}
