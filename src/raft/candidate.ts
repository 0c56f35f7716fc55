import { hex } from '../lib/text.ts';
import { CampaignType, campaign, countVote } from './election.ts';
import { handleAppend, handleHeartbeat, handleSnapshot } from './follower.ts';
import { VoteResult } from './quorum/majority.ts';
import type { Raft } from './raft.ts';
import { broadcastAppend } from './replication.ts';
import { MessageType, None, Role, StepError } from './types.ts';
import type { Message } from './types.ts';

/** Handles a message of its term on a candidate or pre-candidate. */
export function stepCandidate(r: Raft, message: Message): StepError | undefined {
  // Late responses to a pre-vote must not count as votes, and late votes not as pre-votes.
  const awaited = r.role === Role.PreCandidate ? MessageType.MsgPreVoteResp : MessageType.MsgVoteResp;
  switch (message.type) {
    case MessageType.MsgProp:
      r.logger.info(`${hex(r.id)} no leader at term ${r.term}; dropping proposal`);
      return StepError.ProposalDropped;
    case MessageType.MsgApp:
      r.becomeFollower(message.term, message.from);
      handleAppend(r, message);
      break;
    case MessageType.MsgHeartbeat:
      r.becomeFollower(message.term, message.from);
      handleHeartbeat(r, message);
      break;
    case MessageType.MsgSnap:
      r.becomeFollower(message.term, message.from);
      handleSnapshot(r, message);
      break;
    case MessageType.MsgTimeoutNow:
      r.logger.debug(
        `${hex(r.id)} [term ${r.term} state ${r.role}] ignored MsgTimeoutNow from ${hex(message.from)}`,
      );
      break;
    case awaited:
      handleVote(r, message);
      break;
    default:
  }
  return undefined;
}

function handleVote(r: Raft, message: Message): void {
  switch (countVote(r, message.from, message.type, !message.reject)) {
    case VoteResult.Won:
      if (r.role === Role.PreCandidate) {
        campaign(r, CampaignType.Election);
      } else {
        r.becomeLeader();
        broadcastAppend(r);
      }
      break;
    case VoteResult.Lost:
      // This node's term: a pre-vote response has the term of the request.
      r.becomeFollower(r.term, None);
      break;
    default:
  }
}
