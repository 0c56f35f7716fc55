import type { ProcessStatus, RemoteStatus } from '../ports/peer-client.ts';
import type { Member } from './member.ts';

/** What a member says about itself to the other members. */
export function statusOf(member: Member, process: ProcessStatus): RemoteStatus {
  const { consensus, store, metrics } = member;
  const { progress, hardState } = consensus.status();
  return {
    version: process.version,
    uptimeSeconds: process.uptimeSeconds,
    term: hardState.term,
    lead: consensus.lead,
    committed: consensus.committed,
    applied: member.applied.index,
    revision: store.revision,
    storeBytes: store.sizeBytes,
    matches: new Map([...progress].map(([id, { match }]) => [id, match])),
    backup: metrics.backup === undefined ? undefined : { ...metrics.backup },
  };
}
