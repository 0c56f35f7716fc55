import { createHash } from 'node:crypto';
import type { AuthInfo, AuthStore } from '../../auth/auth-store.ts';
import type { Metadata } from '../../grpc/metadata.ts';
import type { Session } from '../../grpc/session.ts';
import type { Logger } from '../../ports/logger.ts';
import { errors } from '../../wire/errors.ts';
import type { TokenContext, TokenProvider } from './token-provider.ts';

/** The parts of a call that identify its user. */
export interface Caller {
  readonly metadata: Pick<Metadata, 'get'>;
  readonly session: Pick<Session, 'commonName' | 'hasCertificate'>;
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
/** The JSON gateway sets this on its calls. */
export const GATEWAY_HEADER = 'grpcgateway-accept';

/**
 * Makes the function that identifies the user of a call. The token comes first, in etcd's header or in HTTP's. Then
 * comes the common name of the client certificate. As in etcd, a certificate does not replace an invalid token, and
 * it does not count for calls of the gateway.
 *
 * @throws (or rejects) EtcdError for an invalid token
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
  if (!clientCertAuth || !session.hasCertificate) return undefined;
  // A certificate without a common name identifies the user with the empty name, who has no permissions.
  const username = session.commonName ?? '';
  if (metadata.get(GATEWAY_HEADER) !== undefined) {
    logger.warn('ignoring common name in gRPC-gateway proxy request', { 'common-name': username });
    return undefined;
  }
  return { username, revision: auth.revision };
}

/** Names a token in the log without revealing it. */
function fingerprint(token: string): string {
  return createHash('sha256').update(token).digest('hex').slice(0, 12);
}
