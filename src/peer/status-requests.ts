import { hex } from '../lib/text.ts';
import type { RemoteStatus } from '../ports/peer-client.ts';
import { parseId } from './member-id.ts';

/*
 * The state of a member, for the status page of another one: GET, answered with a JSON object. IDs are hexadecimal
 * digits. etcd has no such request and responds with 404.
 */
export const STATUS_PATH = '/keystead/status';

export function encodeStatus({ lead, matches, ...rest }: RemoteStatus): string {
  const places = Object.fromEntries([...matches].map(([id, match]) => [hex(id), match]));
  return JSON.stringify({ ...rest, lead: hex(lead), matches: places });
}

/** Fields that a member of another release leaves out are 0 or empty. @throws Error if the text is not such an object */
export function decodeStatus(text: string): RemoteStatus {
  const fields = recordOf(JSON.parse(text) as unknown);
  if (fields === undefined) throw new Error('the status of a member is an object');
  const number = (name: string): number => numberOf(fields[name]) ?? 0;
  const matches = new Map<bigint, number>();
  for (const [id, match] of Object.entries(recordOf(fields['matches']) ?? {})) {
    const [known, place] = [parseId(id), numberOf(match)];
    if (known !== undefined && place !== undefined) matches.set(known, place);
  }
  const backup = recordOf(fields['backup']);
  return {
    term: number('term'),
    lead: (typeof fields['lead'] === 'string' ? parseId(fields['lead']) : undefined) ?? 0n,
    committed: number('committed'),
    applied: number('applied'),
    revision: number('revision'),
    storeBytes: number('storeBytes'),
    matches,
    backup: backup === undefined ? undefined : numbersOf(backup),
    version: typeof fields['version'] === 'string' ? fields['version'] : '',
    uptimeSeconds: number('uptimeSeconds'),
  };
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : undefined;
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

function numbersOf(fields: Readonly<Record<string, unknown>>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(fields).flatMap(([name, value]) => {
      const number = numberOf(value);
      return number === undefined ? [] : [[name, number] as const];
    }),
  );
}
