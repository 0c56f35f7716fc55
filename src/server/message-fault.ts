import { type Message, MessageType, None, Role } from '../raft/types.ts';
import { isApplicable } from './applicable-entry.ts';
import type { ConsensusInput } from './consensus.ts';
import { hasUsableNumbers } from './message-numbers.ts';

/**
 * Why raft must not get a message of another member, if there is a reason. Raft asserts what follows from its own rules,
 * and a process that has stored what it cannot apply ends at each start.
 */
export function messageFault(
  raft: Pick<ConsensusInput, 'role' | 'term' | 'lead'>,
  message: Message,
): string | undefined {
  if (!hasUsableNumbers(message)) return 'numbers out of range';
  switch (message.type) {
    case MessageType.MsgProp:
      return message.entries.every(isApplicable) ? undefined : 'a proposal cannot be applied';
    case MessageType.MsgApp:
      if (!message.entries.every(isApplicable)) return 'an entry cannot be applied';
      break;
    default:
  }
  return termFault(raft, message);
}

/** Why raft must not get a message of its term, if there is a reason. */
export function termFault(
  { role, term, lead }: Pick<ConsensusInput, 'role' | 'term' | 'lead'>,
  message: Message,
): string | undefined {
  switch (message.type) {
    case MessageType.MsgApp:
    case MessageType.MsgHeartbeat:
    case MessageType.MsgSnap:
      break;
    default:
      return undefined;
  }
  const knowsOther =
    role === Role.Leader || (role === Role.Follower && lead !== None && lead !== message.from);
  return message.term === term && knowsOther ? 'another member leads this term' : undefined;
}
