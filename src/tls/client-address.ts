import type { X509Certificate } from 'node:crypto';
import { lookup, lookupService, reverse } from 'node:dns/promises';
import { alternativeNames, isForHost } from './host-names.ts';

/** Looks up host names. Tests use their own. */
export interface Resolver {
  /** The names of an address. */
  names(address: string): Promise<readonly string[]>;
  /** The addresses of a name. */
  addresses(name: string): Promise<readonly string[]>;
}

export const systemResolver: Resolver = {
  async names(address) {
    const found = await Promise.allSettled([
      lookupService(address, 0).then(({ hostname }) => [hostname]),
      reverse(address),
    ]);
    const names = found.flatMap((outcome) => (outcome.status === 'fulfilled' ? outcome.value : []));
    const failed = found.find((outcome) => outcome.status === 'rejected');
    if (names.length === 0 && failed !== undefined) throw failed.reason;
    return names;
  },
  async addresses(name) {
    return (await lookup(name, { all: true })).map(({ address }) => address);
  },
};

/**
 * Why a peer's certificate does not match the address that it connects from; undefined if it matches, or if it has no
 * alternative names. If it has IP addresses, one must be equal to the address. Otherwise one of its DNS names must
 * resolve to the address, or match a name of the address; a wildcard may match too.
 */
export async function addressRefusal(
  certificate: X509Certificate,
  address: string,
  resolver: Resolver,
): Promise<string | undefined> {
  const { dns, addresses } = alternativeNames(certificate);
  if (dns.length === 0 && addresses.length === 0) return undefined;
  if (addresses.length > 0 && isForHost(certificate, address)) return undefined;
  if (dns.length === 0) return `x509: certificate is valid for ${addresses.join(', ')}, not ${address}`;
  return hostRefusal(dns, address, resolver);
}

async function hostRefusal(
  dns: readonly string[],
  address: string,
  resolver: Resolver,
): Promise<string | undefined> {
  const wildcards = dns.filter((name) => name.startsWith('*.')).map((name) => name.slice(1));
  const names = dns.filter((name) => !name.startsWith('*.'));
  let fault = '';
  const attempt = async (look: () => Promise<readonly string[]>): Promise<readonly string[]> => {
    try {
      return await look();
    } catch (error) {
      fault = error instanceof Error ? ` (${error.message})` : '';
      return [];
    }
  };
  for (const found of await attempt(() => resolver.names(address))) {
    const name = found.replace(/\.$/, '');
    if (names.includes(name) || wildcards.some((end) => name.endsWith(end))) return undefined;
  }
  for (const name of names) {
    if ((await attempt(() => resolver.addresses(name))).includes(address)) return undefined;
  }
  return `tls: ${JSON.stringify(address)} does not match any of DNSNames ${JSON.stringify(dns)}${fault}`;
}
