import { READ_RETRY_MS, type ConsensusOptions } from '../server/start-consensus.ts';
import { newReadNonce } from '../server/read-queue.ts';
import { loadRaftLog } from '../server/start-raft.ts';
import { byId } from '../raft/types.ts';
import { type RaftStart, RemoteRaft, type RemoteRaftOptions } from './remote-raft.ts';

/** The member's end of a raft that starts in another thread, from the same log. */
export function startRemoteRaft(
  options: ConsensusOptions,
  channel: Pick<RemoteRaftOptions, 'post' | 'synced'>,
): RemoteRaft {
  const { identity, hooks, scheduler, now, randomInt, slowRequests } = options;
  return new RemoteRaft({
    id: identity.memberId,
    start: stateAtStart(options),
    hooks,
    scheduler,
    now,
    readRetryMs: READ_RETRY_MS,
    readNonce: newReadNonce(randomInt),
    ...(slowRequests === undefined ? {} : { slowRequests }),
    ...channel,
  });
}

/** The state with which `startRaft` starts. */
function stateAtStart({ config, storage, initialMembers, applied }: ConsensusOptions): RaftStart {
  const { memory } = loadRaftLog(storage.contents, applied, config.catchupBytes);
  const { hardState, confState } = memory.initialState();
  const point = { applied: applied.index, firstIndex: memory.firstIndex() };
  if (!storage.isNew || initialMembers.length === 0) return { hardState, confState, ...point };
  const voters = initialMembers.map(({ id }) => id).sort(byId);
  return {
    hardState: { ...hardState, term: 1, commit: voters.length },
    confState: { ...confState, voters },
    ...point,
  };
}
