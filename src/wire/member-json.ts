import { goJson } from '../lib/text.ts';

/**
 * A member in etcd's JSON: in configuration changes, in stored rows and in answers to other members. Empty fields are
 * omitted. 64-bit IDs are plain numbers there, which `JSON.parse` would round: use `quoteLongNumbers` before it.
 */
export interface MemberFields {
  readonly id: bigint;
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly clientUrls: readonly string[];
  readonly isLearner: boolean;
}

/** The fields of the JSON object, without its braces. */
export function memberFieldsToJson({ id, peerUrls, isLearner, name, clientUrls }: MemberFields): string {
  let json = `"id":${id},"peerURLs":${goJson(peerUrls)}`;
  if (isLearner) json += ',"isLearner":true';
  if (name !== '') json += `,"name":${goJson(name)}`;
  if (clientUrls.length > 0) json += `,"clientURLs":${goJson(clientUrls)}`;
  return json;
}

/** @throws Error if it is not a member */
export function memberFieldsFromJson(value: unknown): MemberFields {
  if (typeof value !== 'object' || value === null) throw new Error('a member is an object');
  const fields = value as Readonly<Record<string, unknown>>;
  return {
    id: toId(fields['id']),
    name: typeof fields['name'] === 'string' ? fields['name'] : '',
    peerUrls: toStrings(fields['peerURLs']),
    clientUrls: toStrings(fields['clientURLs']),
    isLearner: fields['isLearner'] === true,
  };
}

function toId(value: unknown): bigint {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return BigInt(value);
  if (typeof value === 'string' && /^\d{1,20}$/.test(value)) return BigInt(value);
  throw new Error('a member has a numeric id');
}

function toStrings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}
