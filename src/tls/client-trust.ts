import { X509Certificate } from 'node:crypto';
import type { SecureContextOptions, TLSSocket } from 'node:tls';

export const NO_CERTIFICATE = "tls: client didn't provide a certificate";
const UNKNOWN_AUTHORITY = 'x509: certificate signed by unknown authority';

/** Go's texts for OpenSSL's error codes. */
const REASONS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'x509: certificate has expired or is not yet valid',
  CERT_NOT_YET_VALID: 'x509: certificate has expired or is not yet valid',
  INVALID_PURPOSE: 'x509: certificate specifies an incompatible key usage',
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_AUTHORITY,
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_AUTHORITY,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_AUTHORITY,
};

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
const ANY_USAGE = '2.5.29.37.0';

/**
 * Why a client's certificate is not trusted, in Go's words; undefined if it is trusted. `ca`: the authorities in PEM
 * form.
 */
export function trustRefusal(
  socket: TLSSocket,
  leaf: X509Certificate | undefined,
  ca: SecureContextOptions['ca'],
): string | undefined {
  if (leaf === undefined) return NO_CERTIFICATE;
  if (socket.authorized) return undefined;
  const code = String(socket.authorizationError);
  if (code === 'DEPTH_ZERO_SELF_SIGNED_CERT' && isSignedByNamesake(leaf, authoritiesOf(ca), Date.now())) {
    socket.authorized = true;
    return undefined;
  }
  return `tls: failed to verify certificate: ${REASONS[code] ?? code}`;
}

/**
 * OpenSSL takes a certificate as self-signed if it has the same subject as its authority and does not name that
 * authority's key. Go checks the signature, and so does this.
 */
export function isSignedByNamesake(
  leaf: X509Certificate,
  authorities: readonly X509Certificate[],
  wallMs: number,
): boolean {
  // The types do not say that a certificate may have no such extension.
  const usages = leaf.keyUsage as readonly string[] | undefined;
  const isForClients = usages === undefined || usages.includes(CLIENT_AUTH) || usages.includes(ANY_USAGE);
  if (!isForClients || !isValidAt(leaf, wallMs)) return false;
  return authorities.some(
    (authority) =>
      authority.ca &&
      isValidAt(authority, wallMs) &&
      leaf.checkIssued(authority) &&
      leaf.verify(authority.publicKey),
  );
}

function isValidAt({ validFrom, validTo }: X509Certificate, wallMs: number): boolean {
  return Date.parse(validFrom) <= wallMs && wallMs <= Date.parse(validTo);
}

function authoritiesOf(ca: SecureContextOptions['ca']): X509Certificate[] {
  if (!Buffer.isBuffer(ca)) return [];
  const blocks = ca.toString('latin1').match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g);
  return (blocks ?? []).map((block) => new X509Certificate(block));
}
