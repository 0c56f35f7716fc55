import { reasonOf } from '../../lib/text.ts';
import type { ClientSettings } from '../client/client-flags.ts';
import { endsInFile, presentedEnd } from '../migrate/certificate-findings.ts';
import { type Diagnosis, good, problem, warning } from './diagnosis.ts';

const DAY_MS = 86_400_000;
const TOO_SOON_DAYS = 7;
const SOON_DAYS = 30;
const HINT =
  'write the new certificate next to the old one and rename it: members read it again by themselves';

/** Judges the end of a certificate. @param nowMs milliseconds since 1970 */
export function judgeEnd(subject: string, end: Date, nowMs: number): Diagnosis {
  const days = Math.ceil((end.getTime() - nowMs) / DAY_MS);
  const date = end.toISOString().slice(0, 10);
  if (end.getTime() < nowMs) return problem(subject, `has ended on ${date}`, HINT);
  const text = `ends in ${days} day${days === 1 ? '' : 's'}, on ${date}`;
  if (days < TOO_SOON_DAYS) return problem(subject, text, HINT);
  return days < SOON_DAYS ? warning(subject, text, HINT) : good(subject, text);
}

/** Judges the client's own certificate files. */
export function judgeFiles({ files }: ClientSettings, nowMs: number): Diagnosis[] {
  return files.flatMap((path) => {
    const subject = `certificate ${path}`;
    const ends = endsInFile(path);
    if (ends.length === 0) return [problem(subject, 'has no certificate', 'give a file in PEM')];
    return ends.map((end) => judgeEnd(subject, end, nowMs));
  });
}

/** Judges what the server at a URL presents: of a chain, the certificate that ends first. None for URLs without TLS. */
export async function judgeUrl(url: string, client: ClientSettings, nowMs: number): Promise<Diagnosis[]> {
  if (!url.startsWith('https:')) return [];
  const subject = `certificate of ${url}`;
  try {
    return [judgeEnd(subject, await presentedEnd(url, client), nowMs)];
  } catch (error) {
    return [problem(subject, `cannot be read: ${reasonOf(error)}`, 'look at the log of the member')];
  }
}
