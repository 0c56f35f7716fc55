import { quoteLongNumbers } from '../lib/json-ids.ts';
import { memberFieldsFromJson, memberFieldsToJson } from '../wire/member-json.ts';
import type { ClusterMember } from './member.ts';

/** The context of a configuration change. */
export interface MemberContext {
  readonly member: ClusterMember;
  /** A learner becomes a voter. Raft has the same kind of change for this and for adding a voter. */
  readonly isPromote: boolean;
}

/** @throws Error if the bytes are not a member's JSON */
export function decodeMemberContext(bytes: Uint8Array): MemberContext {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString();
  const parsed: unknown = JSON.parse(quoteLongNumbers(text));
  const member = memberFieldsFromJson(parsed);
  return { member, isPromote: (parsed as Readonly<Record<string, unknown>>)['isPromote'] === true };
}

/** Only the member, for bootstrap entries, updates and stored rows. */
export function encodeMember(member: ClusterMember): Buffer {
  return Buffer.from(`{${memberFieldsToJson(member)}}`);
}

/** The context for adding or promoting a member. */
export function encodeMemberContext(context: MemberContext): Buffer {
  return Buffer.from(`{${memberFieldsToJson(context.member)},"isPromote":${context.isPromote}}`);
}
