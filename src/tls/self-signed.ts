import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Logger } from '../ports/logger.ts';
import type { MadeCertificate } from './certificate.ts';

export interface SelfSignedOptions {
  /** The directory of `cert.pem` and `key.pem`. */
  readonly directory: string;
  /** The DNS names and IP addresses of the certificate. */
  readonly hosts: readonly string[];
  /** Years of 365 days. */
  readonly validityYears: number;
  readonly logger: Logger;
}

const YEAR_MS = 365 * 24 * 3_600_000;
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
/** Digital signature, key encipherment and signing of revocation lists. */
const KEY_USAGE = 1 + 4 + 64;

/**
 * Returns the certificate and key in a directory. Makes them if they do not exist. An expired certificate is not
 * renewed.
 */
export async function selfSignedFiles(
  options: SelfSignedOptions,
): Promise<{ certFile: string; keyFile: string }> {
  const certFile = resolve(join(options.directory, 'cert.pem'));
  const keyFile = resolve(join(options.directory, 'key.pem'));
  if (existsSync(certFile) && existsSync(keyFile)) return { certFile, keyFile };
  mkdirSync(options.directory, { recursive: true, mode: 0o700 });
  const notAfter = new Date(Date.now() + options.validityYears * YEAR_MS);
  const { certificate, keyPem } = await makeSelfSigned(options.hosts, notAfter);
  options.logger.warn('automatically generate certificates', {
    'certificate-validity-bound-not-after': notAfter.toISOString(),
  });
  // The key comes first: if the process stops between the two, the next start makes both again.
  writeFileSync(keyFile, keyPem, { mode: 0o600 });
  options.logger.info('created key file', { path: keyFile });
  writeFileSync(certFile, certificate, { mode: 0o644 });
  options.logger.info('created cert file', { path: certFile });
  return { certFile, keyFile };
}

async function makeSelfSigned(hosts: readonly string[], notAfter: Date): Promise<MadeCertificate> {
  // Loaded only when it is needed.
  const { makeCertificate, nameOf } = await import('./certificate.ts');
  return makeCertificate({
    subject: nameOf({ organization: 'etcd' }),
    hosts,
    notBefore: new Date(),
    notAfter,
    keyUsage: KEY_USAGE,
    extendedKeyUsage: [SERVER_AUTH],
    isAuthority: true,
  });
}
