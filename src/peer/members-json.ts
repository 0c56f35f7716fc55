import { quoteLongNumbers } from '../lib/json-ids.ts';
import { goJson } from '../lib/text.ts';
import type { RemoteMember } from '../ports/peer-client.ts';

/** The members as JSON of the peer interface: ids are plain numbers, empty fields are omitted. */
export function encodeMembers(members: readonly RemoteMember[]): string {
  return `[${members.map(encodeMember).join(',')}]\n`;
}

function encodeMember({ id, peerUrls, isLearner, name, clientUrls }: RemoteMember): string {
  let json = `"id":${id},"peerURLs":${goJson(peerUrls)}`;
  if (isLearner) json += ',"isLearner":true';
  if (name !== '') json += `,"name":${goJson(name)}`;
  if (clientUrls.length > 0) json += `,"clientURLs":${goJson(clientUrls)}`;
  return `{${json}}`;
}

/** @throws Error if the text is not a list of members */
export function decodeMembers(text: string): RemoteMember[] {
  const list: unknown = JSON.parse(quoteLongNumbers(text));
  if (!Array.isArray(list)) throw new Error('not a list of members');
  return list.map(decodeMember);
}

function decodeMember(value: unknown): RemoteMember {
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
