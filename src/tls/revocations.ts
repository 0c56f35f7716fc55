import type { X509Certificate } from 'node:crypto';
import { bareSerial, revokedSerials } from './revocation-list.ts';
import { fileReason, TlsFileError } from './tls-file-error.ts';
import { WatchedFiles } from './watched-files.ts';

/**
 * The serial numbers of a certificate revocation list, in DER or PEM. As in etcd, only the serial number counts. The
 * signature and the validity of the list are not checked, because the administrator writes the file.
 */
export class Revocations {
  readonly #file: string;
  readonly #watched: WatchedFiles;
  #serials: ReadonlySet<string> = new Set();

  /** @throws TlsFileError */
  constructor(file: string) {
    this.#file = file;
    this.#watched = new WatchedFiles([file]);
    this.#refresh();
  }

  /**
   * Why one of the certificates is refused; undefined if none is revoked. If the list cannot be read, all
   * certificates are refused. A damaged file must not make a revoked certificate valid again.
   */
  refusal(certificates: readonly X509Certificate[]): string | undefined {
    if (this.#watched.haveChanged) {
      try {
        this.#refresh();
      } catch (error) {
        this.#watched.forget();
        return fileReason(error);
      }
    }
    const revoked = certificates.find(({ serialNumber }) => this.#serials.has(bareSerial(serialNumber)));
    return revoked === undefined
      ? undefined
      : `certificate serial ${revoked.serialNumber.toLowerCase()} revoked`;
  }

  #refresh(): void {
    const [bytes = Buffer.alloc(0)] = this.#watched.read();
    try {
      this.#serials = revokedSerials(derOf(bytes));
    } catch (error) {
      throw new TlsFileError(this.#file, `not a certificate revocation list (${fileReason(error)})`);
    }
  }
}

function derOf(bytes: Buffer): Buffer {
  const base64 = /-----BEGIN X509 CRL-----([^-]*)-----END X509 CRL-----/.exec(bytes.toString('latin1'))?.[1];
  return base64 === undefined ? bytes : Buffer.from(base64, 'base64');
}
