import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import type { SecureContextOptions, SecureVersion } from 'node:tls';
import { createSecureContext } from 'node:tls';
import { constants } from 'node:crypto';
import type { Logger } from '../ports/logger.ts';
import { fileReason, TlsFileError } from './tls-file-error.ts';
import { WatchedFiles } from './watched-files.ts';

export interface CredentialFiles {
  /** Both are empty for a client without a certificate. */
  readonly certFile: string;
  readonly keyFile: string;
  /** If empty, the authorities that Node.js trusts. */
  readonly caFile: string;
}

export interface Handshake {
  readonly ciphers: string;
  readonly minVersion: SecureVersion;
  readonly maxVersion: SecureVersion;
}

/**
 * Certificate, key and trusted authorities from files. `current` reads the files again when they have changed. While
 * the new files do not fit together, for example because the certificate is written before its key, the old ones stay
 * in use, and the reason is logged.
 */
export class Credentials {
  readonly #files: CredentialFiles;
  readonly #handshake: Handshake;
  readonly #logger: Logger;
  readonly #watched: WatchedFiles;
  #current: SecureContextOptions;
  #lastFault: string | undefined;

  /** @throws TlsFileError */
  constructor(files: CredentialFiles, handshake: Handshake, logger: Logger) {
    this.#files = files;
    this.#handshake = handshake;
    this.#logger = logger;
    this.#watched = new WatchedFiles(
      [files.certFile, files.keyFile, files.caFile].filter((path) => path !== ''),
    );
    this.#current = this.#load();
  }

  /** The same object as before unless the files have changed. */
  current(): SecureContextOptions {
    if (!this.#watched.haveChanged) return this.#current;
    try {
      const loaded = this.#load();
      this.#lastFault = undefined;
      if (!isSame(loaded, this.#current)) this.#current = loaded;
    } catch (error) {
      this.#watched.forget();
      this.#complain(error);
    }
    return this.#current;
  }

  #load(): SecureContextOptions {
    const { certFile, keyFile, caFile } = this.#files;
    const contents = this.#watched.read();
    const [cert, key] = certFile === '' ? [] : contents;
    const ca = caFile === '' ? undefined : contents.at(-1);
    if (cert !== undefined && key !== undefined) checkPair({ certFile, keyFile, cert, key });
    if (ca !== undefined) checkAuthorities(caFile, ca);
    const options: SecureContextOptions = {
      ...this.#handshake,
      ...(cert === undefined ? {} : { cert, key }),
      ...(ca === undefined ? {} : { ca }),
      honorCipherOrder: true,
      // A resumed session would skip the checks of the certificate and of its revocation. Renegotiation, which TLS
      // 1.2 has, costs the server more than the client.
      secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
    };
    try {
      createSecureContext(options);
    } catch (error) {
      throw new TlsFileError(certFile === '' ? caFile : certFile, fileReason(error));
    }
    return options;
  }

  /** Logs each fault once, not for each connection. */
  #complain(error: unknown): void {
    const reason = fileReason(error);
    if (reason === this.#lastFault) return;
    this.#lastFault = reason;
    this.#logger.warn('changed TLS files cannot be used; the old ones stay in use', { error: reason });
  }
}

interface Pair {
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** OpenSSL's own errors do not name the file. */
function checkPair({ certFile, keyFile, cert, key }: Pair): void {
  const leaf = attempt(certFile, 'no certificate in PEM form', () => new X509Certificate(cert));
  const privateKey = attempt(keyFile, 'no private key in PEM form', () => createPrivateKey(key));
  if (!createPublicKey(privateKey).equals(leaf.publicKey))
    throw new TlsFileError(keyFile, `the private key does not belong to the certificate in ${certFile}`);
}

function checkAuthorities(file: string, bytes: Buffer): void {
  const blocks = bytes
    .toString('latin1')
    .match(/-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----[^-]*-----END/g);
  if (blocks === null) throw new TlsFileError(file, 'no certificate in PEM form');
  const ends = bytes.toString('latin1').match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g);
  for (const block of ends ?? [])
    attempt(file, 'a certificate that cannot be read', () => new X509Certificate(block));
}

function attempt<T>(file: string, fault: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new TlsFileError(file, `${fault} (${fileReason(error)})`);
  }
}

function isSame(a: SecureContextOptions, b: SecureContextOptions): boolean {
  return (['cert', 'key', 'ca'] as const).every((part) => {
    const [left, right] = [a[part], b[part]];
    return Buffer.isBuffer(left) && Buffer.isBuffer(right) ? left.equals(right) : left === right;
  });
}
