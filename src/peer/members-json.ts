import { quoteLongNumbers } from '../lib/json-ids.ts';
import type { RemoteMember } from '../ports/peer-client.ts';
import { memberFieldsFromJson, memberFieldsToJson } from '../wire/member-json.ts';

/** The members as JSON of the peer interface. */
export function encodeMembers(members: readonly RemoteMember[]): string {
  return `[${members.map((member) => `{${memberFieldsToJson(member)}}`).join(',')}]\n`;
}

/** @throws Error if the text is not a list of members */
export function decodeMembers(text: string): RemoteMember[] {
  const list: unknown = JSON.parse(quoteLongNumbers(text));
  if (!Array.isArray(list)) throw new Error('not a list of members');
  return list.map(memberFieldsFromJson);
}
