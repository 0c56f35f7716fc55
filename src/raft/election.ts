import { hex } from '../lib/text.ts';
import { isConfChange } from './confchange/conf-change.ts';
import { describeMessageType } from './describe.ts';
import { jointIds } from './quorum/joint.ts';
import { sortedIds } from './quorum/majority.ts';
import type { VoteResult } from './quorum/majority.ts';
import type { Raft } from './raft.ts';
import { MessageType, Role, newMessage } from './types.ts';

export const CampaignType = {
  /** Asks whether an election could be won. */
  PreElection: 'CampaignPreElection',
  Election: 'CampaignElection',
  /** An election requested by the leader. Voters grant it although the leader is active. It is sent as text. */
  Transfer: 'CampaignTransfer',
} as const;
export type CampaignType = (typeof CampaignType)[keyof typeof CampaignType];

/** Starts a campaign if this node may. */
export function startElection(r: Raft, type: CampaignType): void {
  const id = hex(r.id);
  if (r.role === Role.Leader) {
    r.logger.debug(`${id} ignoring MsgHup because already leader`);
    return;
  }
  if (!r.promotable()) {
    r.logger.warn(`${id} is unpromotable and can not campaign`);
    return;
  }
  if (hasUnappliedConfChanges(r)) {
    r.logger.warn(
      `${id} cannot campaign at term ${r.term} since there are still pending configuration changes to apply`,
    );
    return;
  }
  r.logger.info(`${id} is starting a new election at term ${r.term}`);
  campaign(r, type);
}

/** With an outdated configuration, the wrong quorum could win an election. */
function hasUnappliedConfChanges(r: Raft): boolean {
  const { log } = r;
  return log.some(log.applied + 1, log.committed + 1, log.maxApplyingSize, isConfChange);
}

/** Becomes (pre-)candidate and asks every voter, itself included, for its vote. */
export function campaign(r: Raft, type: CampaignType): void {
  const isPreVote = type === CampaignType.PreElection;
  if (isPreVote) r.becomePreCandidate();
  else r.becomeCandidate();
  const term = isPreVote ? r.term + 1 : r.term;
  const request = isPreVote ? MessageType.MsgPreVote : MessageType.MsgVote;
  const last = r.log.lastEntryId();
  for (const id of sortedIds(jointIds(r.tracker.config.voters))) {
    if (id === r.id) {
      // This node's own vote counts when it is durable.
      const own = newMessage(isPreVote ? MessageType.MsgPreVoteResp : MessageType.MsgVoteResp, id);
      own.term = term;
      r.send(own);
      continue;
    }
    r.logger.info(
      `${hex(r.id)} [logterm: ${last.term}, index: ${last.index}] sent ${describeMessageType(request)} request ` +
        `to ${hex(id)} at term ${r.term}`,
    );
    const message = newMessage(request, id);
    message.term = term;
    message.index = last.index;
    message.logTerm = last.term;
    if (type === CampaignType.Transfer) message.context = Buffer.from(type, 'latin1');
    r.send(message);
  }
}

/** Counts a vote. @returns the result of the election so far */
export function countVote(r: Raft, from: bigint, type: MessageType, granted: boolean): VoteResult {
  const name = describeMessageType(type);
  r.logger.info(
    `${hex(r.id)} received ${name}${granted ? '' : ' rejection'} from ${hex(from)} at term ${r.term}`,
  );
  r.tracker.recordVote(from, granted);
  const tally = r.tracker.tallyVotes();
  r.logger.info(
    `${hex(r.id)} has received ${tally.granted} ${name} votes and ${tally.rejected} vote rejections`,
  );
  return tally.result;
}
