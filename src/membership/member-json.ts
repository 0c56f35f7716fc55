import { quoteLongNumbers } from '../lib/json-ids.ts';
import { goJson } from '../lib/text.ts';
import type { ClusterMember } from './member.ts';

/**
 * The JSON encoding of members, in the context of configuration changes and in stored rows. 64-bit IDs are plain JSON
 * numbers there. `JSON.parse` would round them, so they are put into quotes before parsing, and the quotes are
 * removed after encoding.
 */
export interface MemberContext {
  readonly member: ClusterMember;
  /** A learner becomes a voter. Raft has the same kind of change for this and for adding a voter. */
  readonly isPromote: boolean;
}

/** @throws Error if the bytes are not a member's JSON */
export function decodeMemberContext(bytes: Uint8Array): MemberContext {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString();
  const parsed: unknown = JSON.parse(quoteLongNumbers(text));
  if (typeof parsed !== 'object' || parsed === null) throw new Error('a member context is a JSON object');
  const fields = parsed as Readonly<Record<string, unknown>>;
  return {
    member: {
      id: toId(fields['id']),
      name: typeof fields['name'] === 'string' ? fields['name'] : '',
      peerUrls: toStrings(fields['peerURLs']),
      clientUrls: toStrings(fields['clientURLs']),
      isLearner: fields['isLearner'] === true,
    },
    isPromote: fields['isPromote'] === true,
  };
}

/** Only the member, for bootstrap entries, updates and stored rows. */
export function encodeMember(member: ClusterMember): Buffer {
  return Buffer.from(`{${memberFields(member)}}`);
}

/** The context for adding or promoting a member. */
export function encodeMemberContext(context: MemberContext): Buffer {
  return Buffer.from(`{${memberFields(context.member)},"isPromote":${context.isPromote}}`);
}

function memberFields(member: ClusterMember): string {
  let json = `"id":${member.id},"peerURLs":${goJson(member.peerUrls)}`;
  if (member.isLearner) json += ',"isLearner":true';
  if (member.name !== '') json += `,"name":${goJson(member.name)}`;
  if (member.clientUrls.length > 0) json += `,"clientURLs":${goJson(member.clientUrls)}`;
  return json;
}

function toId(value: unknown): bigint {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return BigInt(value);
  if (typeof value === 'string' && /^\d+$/.test(value)) return BigInt(value);
  throw new Error('a member context has a numeric id');
}

function toStrings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}
