import type { Answer } from '../harness/rpc-client.ts';
import { plain } from './plain.ts';

type Fields = Record<string, unknown>;

/**
 * Removes everything from a response in which two correct servers may differ: ids, addresses, elapsed seconds, and
 * orders and chunks that the protocol does not define.
 */
export function comparable(answer: Answer): unknown {
  if ('code' in answer) return answer;
  const messages = plain(answer.messages) as Fields[];
  if (messages.some((message) => 'rangeResponse' in message)) return joinedStream(messages);
  return messages.map(comparableMessage);
}

export function comparableMessage(message: Fields): Fields {
  const result: Fields = { ...message };
  if (isFields(result['header'])) result['header'] = comparableHeader(result['header']);
  if ('grantedTtl' in result && Number(result['ttl']) > 0) result['ttl'] = 'some of it is left';
  if (Array.isArray(result['leases'])) result['leases'] = sorted(result['leases']);
  if ('grantedTtl' in result && Array.isArray(result['keys'])) result['keys'] = sorted(result['keys']);
  if (Array.isArray(result['members'])) result['members'] = result['members'].map(comparableMember);
  return result;
}

function comparableHeader({ revision, raftTerm }: Fields): Fields {
  return { revision, raftTerm };
}

function comparableMember(member: unknown): unknown {
  return isFields(member) ? { name: member['name'], isLearner: member['isLearner'] } : member;
}

/** Joins the messages of a streamed range, because the server chooses their sizes. */
function joinedStream(messages: Fields[]): unknown {
  const parts = messages.map((message) => message['rangeResponse']).filter(isFields);
  const last = parts.at(-1) ?? {};
  return comparableMessage({
    ...last,
    kvs: parts.flatMap((part) => part['kvs'] as unknown[]),
  });
}

function sorted(list: unknown[]): unknown[] {
  return list.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
