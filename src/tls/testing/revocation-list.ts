import { AsnConvert } from '@peculiar/asn1-schema';
import * as asn1 from '@peculiar/asn1-x509';
import type { KeyObject } from 'node:crypto';
import { ECDSA_WITH_SHA256, signed } from '../certificate.ts';

/** A list of revoked serial numbers, in DER. */
export function makeRevocationList(
  issuer: { readonly subject: asn1.Name; readonly key: KeyObject },
  serialNumbers: readonly ArrayBuffer[],
): Buffer {
  const algorithm = new asn1.AlgorithmIdentifier({ algorithm: ECDSA_WITH_SHA256 });
  const body = new asn1.TBSCertList({
    version: asn1.Version.v2,
    signature: algorithm,
    issuer: issuer.subject,
    thisUpdate: new asn1.Time(new Date()),
    revokedCertificates: serialNumbers.map(
      (userCertificate) =>
        new asn1.RevokedCertificate({ userCertificate, revocationDate: new asn1.Time(new Date()) }),
    ),
  });
  const list = new asn1.CertificateList({
    tbsCertList: body,
    signatureAlgorithm: algorithm,
    signature: signed(body, issuer.key),
  });
  return Buffer.from(AsnConvert.serialize(list));
}
