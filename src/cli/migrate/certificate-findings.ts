import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect, type DetailedPeerCertificate } from 'node:tls';
import { reasonOf } from '../../lib/text.ts';
import type { ClientSettings } from '../client/client-flags.ts';
import { type Finding, ok, problem, warning } from './finding.ts';

const DAY_MS = 86_400_000;
/** A certificate that ends sooner is a problem: it would end during the migration or shortly after. */
const TOO_SOON_DAYS = 2;
const SOON_DAYS = 30;

/** Judges the end of a certificate. @param nowMs milliseconds since 1970 */
export function endFinding(subject: string, end: Date, nowMs: number): Finding {
  const days = Math.floor((end.getTime() - nowMs) / DAY_MS);
  const text = `until ${end.toISOString().slice(0, 10)}`;
  if (days < 0) return problem(subject, `has ended: ${text}`);
  if (days < TOO_SOON_DAYS) return problem(subject, `ends in ${days} days: ${text}; renew it first`);
  if (days < SOON_DAYS) return warning(subject, `ends in ${days} days: ${text}`);
  return ok(subject, text);
}

/** Checks the client's own certificate files. */
export function fileFindings({ files }: ClientSettings, nowMs: number): Finding[] {
  return files.flatMap((path) => {
    const ends = endsInFile(path);
    if (ends.length === 0) return [problem(`certificate ${path}`, 'has no certificate')];
    return ends.map((end) => endFinding(`certificate ${path}`, end, nowMs));
  });
}

/** When the certificates in a file end. */
export function endsInFile(path: string): Date[] {
  const blocks = readFileSync(path, 'latin1').match(
    /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g,
  );
  return (blocks ?? []).map((block) => new Date(new X509Certificate(block).validTo));
}

/** Checks the certificate that a server presents at a URL, and those above it; nothing for URLs without TLS. */
export async function urlFindings(url: string, client: ClientSettings, nowMs: number): Promise<Finding[]> {
  if (!url.startsWith('https:')) return [];
  const subject = `certificate of ${url}`;
  try {
    return [endFinding(subject, await presentedEnd(url, client), nowMs)];
  } catch (error) {
    return [problem(subject, `cannot be read: ${reasonOf(error)}`)];
  }
}

/** When the first certificate of the chain ends that a server presents at a URL. */
export async function presentedEnd(url: string, { tls, timeoutMs }: ClientSettings): Promise<Date> {
  const chain = await presentedChain(new URL(url), tls.certificate, tls.key, timeoutMs);
  return new Date(Math.min(...chain.map(({ valid_to: end }) => new Date(end).getTime())));
}

/** The certificate is only looked at, so it need not be valid. */
function presentedChain(
  { hostname, port }: URL,
  cert: Buffer | undefined,
  key: Buffer | undefined,
  timeoutMs: number,
): Promise<DetailedPeerCertificate[]> {
  return new Promise((resolve, reject) => {
    const host = hostname.replace(/^\[|\]$/g, '');
    const socket = connect({
      host,
      port: Number(port || '443'),
      rejectUnauthorized: false,
      ...(cert === undefined || key === undefined ? {} : { cert, key }),
    });
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error('no answer in time')));
    socket.once('error', reject);
    socket.once('secureConnect', () => {
      const chain = chainOf(socket.getPeerCertificate(true));
      socket.destroy();
      if (chain.length > 0) resolve(chain);
      else reject(new Error('the server presents no certificate'));
    });
  });
}

/** Node.js gives an empty object without a certificate, and no issuer if the server does not send it. */
function chainOf(first: Partial<DetailedPeerCertificate>): DetailedPeerCertificate[] {
  const chain: DetailedPeerCertificate[] = [];
  let next: Partial<DetailedPeerCertificate> | undefined = first;
  // The last one is its own issuer.
  while (isComplete(next) && !chain.includes(next)) {
    chain.push(next);
    next = next.issuerCertificate;
  }
  return chain;
}

function isComplete(
  certificate: Partial<DetailedPeerCertificate> | undefined,
): certificate is DetailedPeerCertificate {
  return certificate?.raw !== undefined;
}
