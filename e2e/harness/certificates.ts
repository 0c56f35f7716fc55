import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MadeCertificate } from '../../src/tls/certificate.ts';
import { Authority, type IssueOptions } from '../../src/tls/testing/authority.ts';
import { tempDir } from './temp-dir.ts';

/** A directory with the certificates of a test CA: `ca.crt`, and `<name>.crt` with `<name>.key`. */
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

  /** Replaces a file atomically. */
  write(name: string, content: string | Buffer): void {
    writeFileSync(this.path(`${name}.new`), content);
    renameSync(this.path(`${name}.new`), this.path(name));
  }

  /** Issues a certificate. An existing one with the same name is replaced. */
  issue(name: string, options: IssueOptions, by = this.authority): MadeCertificate {
    const made = by.issue(options);
    this.write(`${name}.key`, made.keyPem);
    this.write(`${name}.crt`, made.certificate);
    return made;
  }

  /** Returns the etcdctl flags for a certificate. */
  flags(name: string, ca = 'ca.crt'): string[] {
    return [
      `--cacert=${this.path(ca)}`,
      `--cert=${this.path(`${name}.crt`)}`,
      `--key=${this.path(`${name}.key`)}`,
    ];
  }
}

/** Formats a serial number as Node.js does for a peer certificate. */
export function serialOf({ serialNumber }: MadeCertificate): string {
  return Buffer.from(serialNumber).toString('hex').toUpperCase();
}
