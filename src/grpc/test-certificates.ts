import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface TestCertificate {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** Whether `makeCertificates` works on this machine. */
export function hasOpenssl(): boolean {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/**
 * Creates by openssl a certificate authority, and certificates for localhost signed by it, one for each common name.
 */
export function makeCertificates(...commonNames: string[]): { ca: Buffer; certificates: TestCertificate[] } {
  const directory = mkdtempSync(join(tmpdir(), 'keystead-certificates-'));
  const openssl = (...args: string[]): void => {
    execFileSync('openssl', args, { cwd: directory, stdio: 'ignore' });
  };
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  try {
    openssl(
      'req',
      '-x509',
      ...newKey,
      '-keyout',
      'ca.key',
      '-out',
      'ca.crt',
      '-days',
      '2',
      '-subj',
      '/CN=test authority',
    );
    writeFileSync(join(directory, 'extensions'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\n');
    const certificates = commonNames.map((name) => {
      openssl('req', ...newKey, '-keyout', 'a.key', '-out', 'a.csr', '-subj', `/CN=${name}`);
      openssl(
        ...['x509', '-req', '-in', 'a.csr', '-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial'],
        ...['-days', '2', '-extfile', 'extensions', '-out', 'a.crt'],
      );
      return { cert: readFileSync(join(directory, 'a.crt')), key: readFileSync(join(directory, 'a.key')) };
    });
    return { ca: readFileSync(join(directory, 'ca.crt')), certificates };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
