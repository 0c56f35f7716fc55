import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MadeCertificate } from '../../src/tls/certificate.ts';
import { Authority, type IssueOptions } from '../../src/tls/testing/authority.ts';
import { tempDir } from './temp-dir.ts';

/** A folder with what an authority of its own issues: `ca.crt`, and `<name>.crt` with `<name>.key`. */
export class Certificates {
  readonly authority = new Authority();
  readonly #folder: string;

  constructor(label: string) {
    this.#folder = tempDir(label);
    this.write('ca.crt', this.authority.certificate);
  }

  path(name: string): string {
    return join(this.#folder, name);
  }

  /** Replaces a file atomically, as one does with a file in use. */
  write(name: string, content: string | Buffer): void {
    writeFileSync(this.path(`${name}.new`), content);
    renameSync(this.path(`${name}.new`), this.path(name));
  }

  /** Issues a certificate, anew if there is one of that name. */
  issue(name: string, options: IssueOptions, by = this.authority): MadeCertificate {
    const made = by.issue(options);
    this.write(`${name}.key`, made.keyPem);
    this.write(`${name}.crt`, made.certificate);
    return made;
  }

  /** What etcdctl is told for the certificate of that name. */
  flags(name: string, ca = 'ca.crt'): string[] {
    return [
      `--cacert=${this.path(ca)}`,
      `--cert=${this.path(`${name}.crt`)}`,
      `--key=${this.path(`${name}.key`)}`,
    ];
  }
}

/** A serial number as Node shows it for the certificate of a connection. */
export function serialOf({ serialNumber }: MadeCertificate): string {
  return Buffer.from(serialNumber).toString('hex').toUpperCase();
}
