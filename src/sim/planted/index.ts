import { listSegments } from '../../storage/wal/segment-name.ts';
import { scanLog } from '../../storage/wal/log-scan.ts';
import { type Message, MessageType, newMessage } from '../../raft/types.ts';
import { type Entry, HardState } from '../../wire/gen/raftpb.ts';
import type { PlantedBug } from './planted-bug.ts';
import { periodicTaskBugs } from './periodic-tasks.ts';

/** A leader takes entries for acknowledged as soon as they are sent, and so commits without a quorum. */
export const commitsWithoutQuorum: PlantedBug = {
  name: 'commit without quorum',
  intercept: (message, answer) => {
    if (message.type === MessageType.MsgApp && message.entries.length > 0) {
      const last = message.entries.at(-1)?.index ?? 0;
      answer(reply(message, MessageType.MsgAppResp, last));
    }
    return message;
  },
};

/** A member gives its vote to everyone who asks. */
export const votesTwice: PlantedBug = {
  name: 'vote twice',
  intercept: (message, answer) => {
    if (message.type === MessageType.MsgVote) {
      answer(reply(message, MessageType.MsgVoteResp, 0));
      return undefined;
    }
    if (message.type === MessageType.MsgPreVote) {
      answer(reply(message, MessageType.MsgPreVoteResp, 0));
      return undefined;
    }
    return message;
  },
};

function reply(message: Message, type: Message['type'], index: number): Message {
  return { ...newMessage(type, message.from), from: message.to, term: message.term, index };
}

/** A crash loses the end of the log that was synced, and the term and vote with it. */
export const losesHardState: PlantedBug = {
  name: 'lost hard state',
  misreadsLog: (contents) => ({
    ...contents,
    hardState: HardState.create(),
    entries: contents.entries.slice(0, Math.floor(contents.entries.length / 2)),
  }),
};

/** Linearizable reads answer from whatever the member has applied. */
export const readsStale: PlantedBug = { name: 'stale read', readsAtOnce: true };

/** Now and then a put is left out of what is applied. */
export const skipsApply: PlantedBug = {
  name: 'skipped apply',
  tamperWith: (random) => (operations) =>
    random.chance(0.01)
      ? operations.filter(({ column }) => column !== 'latest' && column !== 'event')
      : operations,
};

/** Now and then a watcher gets a batch of events after the next one. */
export const reordersWatch: PlantedBug = {
  name: 'reordered watch',
  watchThrough: (receiver, random) => {
    let kept: Parameters<typeof receiver.deliver>[0] | undefined;
    return {
      compacted: (revision) => receiver.compacted(revision),
      deliver: (batch) => {
        if (kept === undefined && random.chance(0.05)) {
          kept = batch;
          return true;
        }
        const isRoomy = receiver.deliver(batch);
        if (kept === undefined) return isRoomy;
        const late = kept;
        kept = undefined;
        return receiver.deliver(late);
      },
    };
  },
};

/** Segments are made of released ones: the records in them lie behind the log's end until zeros are written there. */
export const recyclesSegments: PlantedBug = { name: 'recycled segments', recyclesSegments: true };

/** A log in which a term is lower than that of the entry it replaces counts as corrupt. */
export const refusesFigureEight: PlantedBug = {
  name: 'figure 8 refused',
  refusesLog: (directory, disk) => {
    let newest = 0;
    const onEntry = ({ index, term }: Entry): void => {
      if (term < newest) throw new Error(`entry ${index} has term ${term} after term ${newest}`);
      newest = term;
    };
    scanLog(directory, listSegments(directory, disk), { onEntry, disk });
  },
};

/** After the exchange of a store only the log's length is looked at, not the way it has gone. */
export const comparesIndexes: PlantedBug = {
  name: 'indexes compared',
  misreadsLog: (contents, { index, term }) => ({
    ...contents,
    entries: contents.entries.map((entry) => (entry.index === index ? { ...entry, term } : entry)),
  }),
};

/** Histories that lead to these are rare: `npm run sim -- --bug <name>` looks for one. */
export const rareBugs: readonly PlantedBug[] = [refusesFigureEight, comparesIndexes];

export const plantedBugs: readonly PlantedBug[] = [
  commitsWithoutQuorum,
  votesTwice,
  losesHardState,
  readsStale,
  skipsApply,
  reordersWatch,
  recyclesSegments,
  ...periodicTaskBugs,
];
