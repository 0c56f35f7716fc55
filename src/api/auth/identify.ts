import { createHash } from 'node:crypto';
import type { AuthInfo, AuthStore } from '../../auth/auth-store.ts';
import type { Metadata } from '../../grpc/metadata.ts';
import type { Session } from '../../grpc/session.ts';
import type { Logger } from '../../ports/logger.ts';
import { errors } from '../../wire/errors.ts';
import type { TokenContext, TokenProvider } from './token-provider.ts';

/** What of a call tells who makes it. */
export interface Caller {
  readonly metadata: Pick<Metadata, 'get'>;
  readonly session: Pick<Session, 'commonName' | 'peerCertificate'>;
}

export interface IdentifyOptions {
  readonly auth: Pick<AuthStore, 'isEnabled' | 'revision'>;
  readonly tokens: TokenProvider;
  readonly context: TokenContext;
  /** `--client-cert-auth`: a client certificate's common name is a user. */
  readonly clientCertAuth: boolean;
  readonly logger: Logger;
}

const BEARER = 'Bearer ';
/** Set by the JSON gateway on the calls it makes. */
export const GATEWAY_MARK = 'grpcgateway-accept';

/**
 * Tells who makes a call: by its token, under etcd's name or HTTP's, or by the common name in its certificate. As in
 * etcd, no certificate makes up for a token that is not valid, and none counts for what comes by the gateway.
 *
 * @throws (or rejects) EtcdError for a token that is not valid
 */
export function makeIdentify(options: IdentifyOptions) {
  const { auth, tokens, context, logger } = options;
  return (caller: Caller): AuthInfo | undefined | Promise<AuthInfo | undefined> => {
    if (!auth.isEnabled) return undefined;
    const { metadata } = caller;
    const given = metadata.get('token') ?? metadata.get('authorization');
    if (given === undefined) return fromCertificate(options, caller);
    const token = given.startsWith(BEARER) ? given.slice(BEARER.length) : given;
    const known = (who: AuthInfo | undefined): AuthInfo | undefined => {
      if (who !== undefined) return who;
      logger.warn('invalid auth token', { 'token-fingerprint': fingerprint(token) });
      throw errors.InvalidAuthToken;
    };
    const who = tokens.identify(token, context);
    return who instanceof Promise ? who.then(known) : known(who);
  };
}

function fromCertificate(
  { auth, clientCertAuth, logger }: IdentifyOptions,
  { metadata, session }: Caller,
): AuthInfo | undefined {
  if (!clientCertAuth || session.peerCertificate === undefined) return undefined;
  // A certificate without a common name makes its owner the user without a name, who may do nothing.
  const username = session.commonName ?? '';
  if (metadata.get(GATEWAY_MARK) !== undefined) {
    logger.warn('ignoring common name in gRPC-gateway proxy request', { 'common-name': username });
    return undefined;
  }
  return { username, revision: auth.revision };
}

/** Names a token in the log without giving it away. */
function fingerprint(token: string): string {
  return createHash('sha256').update(token).digest('hex').slice(0, 12);
}
