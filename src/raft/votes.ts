import { hex } from '../lib/text.ts';
import { describeMessageType } from './describe.ts';
import { CampaignType } from './election.ts';
import type { Raft } from './raft.ts';
import { InvariantError } from '../lib/assert.ts';
import { MessageType, None, newMessage } from './types.ts';
import type { Message } from './types.ts';

export function voteResponseType(request: MessageType): MessageType {
  if (request === MessageType.MsgVote) return MessageType.MsgVoteResp;
  if (request === MessageType.MsgPreVote) return MessageType.MsgPreVoteResp;
  throw new InvariantError(`not a vote message: ${describeMessageType(request)}`);
}

/** Whether an active leader forbids an election. An election by a leader transfer is allowed. */
export function isLeaseInForce(r: Raft, request: Message): boolean {
  if (request.context !== undefined && request.context.toString('latin1') === CampaignType.Transfer)
    return false;
  return r.config.checkQuorum && r.lead !== None && r.electionElapsed < r.config.electionTick;
}

export function logIgnoredVoteRequest(r: Raft, request: Message): void {
  r.logger.info(
    `${state(r)} ignored ${asked(request)} at term ${r.term}: lease is not expired ` +
      `(remaining ticks: ${r.config.electionTick - r.electionElapsed})`,
  );
}

/**
 * Grants a vote at most once a term, to a candidate whose log is no older than ours (thesis, 3.4 and 3.6.1). A
 * pre-vote for a term to come promises nothing. Learners vote when asked: the candidate may know of a promotion
 * that has not reached us, and be unable to win without us.
 */
export function handleVoteRequest(r: Raft, request: Message): void {
  const isPreVote = request.type === MessageType.MsgPreVote;
  const canVote =
    r.vote === request.from || (r.vote === None && r.lead === None) || (isPreVote && request.term > r.term);
  if (!canVote || !r.log.isUpToDate({ term: request.logTerm, index: request.index })) {
    reject(r, request);
    return;
  }
  const name = describeMessageType(request.type);
  r.logger.info(
    `${state(r)} cast ${name} for ${hex(request.from)} [logterm: ${request.logTerm}, index: ${request.index}] ` +
      `at term ${r.term}`,
  );
  // The term asked about, not ours: they differ for a pre-vote, whose sender ignores answers about other terms.
  const granted = newMessage(voteResponseType(request.type), request.from);
  granted.term = request.term;
  r.send(granted);
  if (!isPreVote) {
    r.electionElapsed = 0;
    r.vote = request.from;
  }
}

/**
 * Answers a pre-vote of an older term instead of ignoring it: in a group where pre-vote was just turned on, its
 * sender may have a higher last term but the older term now, and would ask for ever.
 */
export function rejectStalePreVote(r: Raft, request: Message): void {
  reject(r, request);
}

function reject(r: Raft, request: Message): void {
  r.logger.info(`${state(r)} rejected ${asked(request)} at term ${r.term}`);
  const refusal = newMessage(voteResponseType(request.type), request.from);
  refusal.term = r.term;
  refusal.reject = true;
  r.send(refusal);
}

function state(r: Raft): string {
  const last = r.log.lastEntryId();
  return `${hex(r.id)} [logterm: ${last.term}, index: ${last.index}, vote: ${hex(r.vote)}]`;
}

function asked({ type, from, logTerm, index }: Message): string {
  return `${describeMessageType(type)} from ${hex(from)} [logterm: ${logTerm}, index: ${index}]`;
}
