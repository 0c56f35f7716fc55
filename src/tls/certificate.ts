import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import * as asn1 from '@peculiar/asn1-x509';
import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { isIP } from 'node:net';

export const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2';
const ORGANIZATION = '2.5.4.10';
const COMMON_NAME = '2.5.4.3';

export interface CertificateOptions {
  readonly subject: asn1.Name;
  /** The DNS names and IP addresses of the certificate. */
  readonly hosts: readonly string[];
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** Bits of `KeyUsageFlags`. */
  readonly keyUsage: number;
  /** OIDs of the extended key usage; empty for any use. */
  readonly extendedKeyUsage: readonly string[];
  readonly isAuthority: boolean;
  /** The issuer; the certificate is self-signed if it is not given. */
  readonly issuer?: { readonly subject: asn1.Name; readonly key: KeyObject };
}

export interface MadeCertificate {
  /** PEM. */
  readonly certificate: string;
  /** PEM. */
  readonly keyPem: string;
  readonly key: KeyObject;
  readonly serialNumber: ArrayBuffer;
}

export function nameOf(parts: { organization?: string; commonName?: string }): asn1.Name {
  const { organization, commonName } = parts;
  const name = (type: string, value: string): asn1.RelativeDistinguishedName =>
    new asn1.RelativeDistinguishedName([
      new asn1.AttributeTypeAndValue({ type, value: new asn1.AttributeValue({ utf8String: value }) }),
    ]);
  return new asn1.Name([
    ...(organization === undefined ? [] : [name(ORGANIZATION, organization)]),
    ...(commonName === undefined ? [] : [name(COMMON_NAME, commonName)]),
  ]);
}

/** Makes a new P-256 key and a certificate for it. */
export function makeCertificate(options: CertificateOptions): MadeCertificate {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const publicKey = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
  const { subject, issuer = { subject, key: privateKey } } = options;
  const algorithm = new asn1.AlgorithmIdentifier({ algorithm: ECDSA_WITH_SHA256 });
  const body = new asn1.TBSCertificate({
    version: asn1.Version.v3,
    serialNumber: newSerialNumber(),
    signature: algorithm,
    issuer: issuer.subject,
    subject,
    validity: new asn1.Validity({ notBefore: options.notBefore, notAfter: options.notAfter }),
    subjectPublicKeyInfo: AsnConvert.parse(publicKey, asn1.SubjectPublicKeyInfo),
    extensions: extensionsOf(options),
  });
  const certificate = new asn1.Certificate({
    tbsCertificate: body,
    signatureAlgorithm: algorithm,
    signatureValue: signed(body, issuer.key),
  });
  return {
    certificate: pem('CERTIFICATE', certificate),
    keyPem: privateKey.export({ type: 'sec1', format: 'pem' }).toString(),
    key: privateKey,
    serialNumber: body.serialNumber,
  };
}

function extensionsOf(options: CertificateOptions): asn1.Extensions {
  const { hosts, keyUsage, extendedKeyUsage, isAuthority } = options;
  const extension = (extnID: string, value: unknown, critical = false): asn1.Extension =>
    new asn1.Extension({ extnID, critical, extnValue: new OctetString(AsnConvert.serialize(value)) });
  const list = [
    extension(asn1.id_ce_keyUsage, new asn1.KeyUsage(keyUsage), true),
    extension(asn1.id_ce_basicConstraints, new asn1.BasicConstraints({ cA: isAuthority }), true),
  ];
  if (extendedKeyUsage.length > 0)
    list.push(extension(asn1.id_ce_extKeyUsage, new asn1.ExtendedKeyUsage([...extendedKeyUsage])));
  if (hosts.length > 0) {
    const names = [...new Set(hosts)].map(
      (host) => new asn1.GeneralName(isIP(host) === 0 ? { dNSName: host } : { iPAddress: host }),
    );
    list.push(extension(asn1.id_ce_subjectAltName, new asn1.SubjectAlternativeName(names)));
  }
  return new asn1.Extensions(list);
}

/** The signature of a structure, in the form of certificates and revocation lists. */
export function signed(body: unknown, key: KeyObject): ArrayBuffer {
  return toArrayBuffer(sign('sha256', Buffer.from(AsnConvert.serialize(body)), key));
}

/** A serial number of 126 random bits. The highest bit is set, and the number is positive. */
function newSerialNumber(): ArrayBuffer {
  const bytes = randomBytes(16);
  bytes.writeUInt8((bytes.readUInt8(0) & 0x7f) | 0x40, 0);
  return toArrayBuffer(bytes);
}

function toArrayBuffer(bytes: Buffer): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}

function pem(label: string, value: unknown): string {
  const lines =
    Buffer.from(AsnConvert.serialize(value))
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}
