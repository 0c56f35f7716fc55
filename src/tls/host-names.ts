import type { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';

/**
 * Whether a certificate is valid for a host, by Go's rules: only alternative names count, the common name does not.
 * An IP address matches only address entries.
 */
export function isForHost(certificate: X509Certificate, host: string): boolean {
  const bare = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
  if (isIP(bare) !== 0) return certificate.checkIP(bare) !== undefined;
  const labels = bare.replace(/\.$/, '').toLowerCase().split('.');
  return alternativeNames(certificate).dns.some((pattern) =>
    matches(pattern.toLowerCase().split('.'), labels),
  );
}

/** A star stands for one whole label, the first one. */
function matches(pattern: readonly string[], labels: readonly string[]): boolean {
  if (pattern.length !== labels.length) return false;
  return pattern.every((label, at) => label !== '' && ((at === 0 && label === '*') || label === labels[at]));
}

/** The alternative names of a certificate, by kind. Other kinds are not used. */
export interface AlternativeNames {
  readonly dns: readonly string[];
  readonly addresses: readonly string[];
}

export function alternativeNames(certificate: X509Certificate): AlternativeNames {
  const dns: string[] = [];
  const addresses: string[] = [];
  for (const entry of entriesOf(certificate.subjectAltName ?? '')) {
    const colon = entry.indexOf(':');
    const kind = entry.slice(0, colon);
    const value = unquote(entry.slice(colon + 1));
    if (kind === 'DNS') dns.push(value);
    else if (kind === 'IP Address') addresses.push(value);
  }
  return { dns, addresses };
}

/** The last common name. Go uses this one. */
export function commonName(certificate: X509Certificate): string {
  const names: unknown = certificate.toLegacyObject().subject.CN;
  const last: unknown = Array.isArray(names) ? names.at(-1) : names;
  return typeof last === 'string' ? last : '';
}

/** Splits Node's list. Values with a comma are JSON strings there, so that they cannot look like several entries. */
function entriesOf(list: string): string[] {
  return list.match(/(?:[^,"]|"(?:[^"\\]|\\.)*")+/g)?.map((entry) => entry.trim()) ?? [];
}

function unquote(value: string): string {
  if (!value.startsWith('"')) return value;
  const parsed: unknown = JSON.parse(value);
  return typeof parsed === 'string' ? parsed : value;
}
