import type { KeyObject } from 'node:crypto';
import { KeyUsageFlags, type Name } from '@peculiar/asn1-x509';
import { makeCertificate, type MadeCertificate, nameOf } from '../certificate.ts';
import { makeRevocationList } from './revocation-list.ts';

const DAY_MS = 24 * 3_600_000;
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

export interface IssueOptions {
  readonly commonName?: string;
  readonly hosts?: readonly string[];
  /** Validity in days, from yesterday on; negative for an expired certificate. */
  readonly days?: number;
  readonly usage?: 'both' | 'server' | 'client';
}

/** A certificate authority for tests. */
export class Authority {
  readonly #self: MadeCertificate;
  readonly #subject: Name;

  constructor(name = 'test authority') {
    this.#subject = nameOf({ commonName: name });
    this.#self = makeCertificate({
      subject: this.#subject,
      hosts: [],
      notBefore: new Date(Date.now() - 400 * DAY_MS),
      notAfter: new Date(Date.now() + 30 * DAY_MS),
      keyUsage: KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign,
      extendedKeyUsage: [],
      isAuthority: true,
    });
  }

  /** PEM. */
  get certificate(): string {
    return this.#self.certificate;
  }

  get serialNumber(): ArrayBuffer {
    return this.#self.serialNumber;
  }

  issue({ commonName, hosts = [], days = 7, usage = 'both' }: IssueOptions): MadeCertificate {
    return makeCertificate({
      subject: nameOf(commonName === undefined ? { organization: 'tests' } : { commonName }),
      hosts,
      notBefore: new Date(Date.now() - (days > 0 ? DAY_MS : 300 * DAY_MS)),
      notAfter: new Date(Date.now() + days * DAY_MS),
      keyUsage: KeyUsageFlags.digitalSignature,
      extendedKeyUsage: [
        ...(usage === 'client' ? [] : [SERVER_AUTH]),
        ...(usage === 'server' ? [] : [CLIENT_AUTH]),
      ],
      isAuthority: false,
      issuer: this.#issuer,
    });
  }

  /** DER. */
  revoke(...certificates: readonly Pick<MadeCertificate, 'serialNumber'>[]): Buffer {
    return makeRevocationList(
      this.#issuer,
      certificates.map(({ serialNumber }) => serialNumber),
    );
  }

  get #issuer(): { subject: Name; key: KeyObject } {
    return { subject: this.#subject, key: this.#self.key };
  }
}
