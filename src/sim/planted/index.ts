import { listSegments } from '../../storage/wal/segment-name.ts';
import { scanLog } from '../../storage/wal/log-scan.ts';
import { defined } from '../../lib/assert.ts';
import { RawNode } from '../../raft/raw-node.ts';
import type { ConsensusDriver } from '../../server/consensus.ts';
import { type Message, MessageType, newMessage } from '../../raft/types.ts';
import { type Entry, HardState } from '../../wire/gen/raftpb.ts';
import type { PlantedBug } from './planted-bug.ts';
import { periodicTaskBugs } from './periodic-tasks.ts';

/** Values of a byte, of which nonces are made. */
const BYTE = 256;

/** A leader treats entries as acknowledged when they are sent, so it commits without a quorum. */
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

/** A member grants every vote request. */
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

/** A crash loses the end of the log although it was synced, including term and vote. */
export const losesHardState: PlantedBug = {
  name: 'lost hard state',
  misreadsLog: (contents) => ({
    ...contents,
    hardState: HardState.create(),
    entries: contents.entries.slice(0, Math.floor(contents.entries.length / 2)),
  }),
};

/** Linearizable reads return the applied state of the member without ReadIndex. */
export const readsStale: PlantedBug = { name: 'stale read', readsAtOnce: true };

/** Sometimes a put is not applied. */
export const skipsApply: PlantedBug = {
  name: 'skipped apply',
  tamperWith: (random) => (operations) =>
    random.chance(0.01)
      ? operations.filter(({ column }) => column !== 'latest' && column !== 'event')
      : operations,
};

/** Sometimes a watcher gets two batches of events in the wrong order. */
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

/** Released segments are reused, so old records follow the end of the log until they are overwritten with zeros. */
export const recyclesSegments: PlantedBug = { name: 'recycled segments', recyclesSegments: true };

/** A log is treated as corrupt if an entry has a lower term than the entry that it replaces. */
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

/**
 * After the exchange of a store only the log's length is looked at, not the way it has gone. The check sees the term
 * that it looks for; raft, which is restarted in the same turn, goes on with the term that is there.
 */
export const comparesIndexes: PlantedBug = {
  name: 'indexes compared',
  misreadsLog: (contents, { index, term }) => ({
    ...contents,
    entries: contents.entries.map((entry) => {
      if (entry.index !== index) return entry;
      const seen = { ...entry, term };
      queueMicrotask(() => {
        seen.term = entry.term;
      });
      return seen;
    }),
  }),
};

/** What the store has taken goes from raft's storage, though raft hears of whole batches later. */
export const compactsUnapplied: PlantedBug = {
  name: 'compaction beyond raft',
  disables: ({ member }) => {
    const { log } = member.consensus as ConsensusDriver;
    const removeUpTo = log.removeUpTo.bind(log);
    const ofRaft = defined(Object.getOwnPropertyDescriptor(RawNode.prototype, 'applied'), 'raft has it');
    log.removeUpTo = (upTo, snapshot) => {
      Object.defineProperty(RawNode.prototype, 'applied', { ...ofRaft, get: () => member.applied.index });
      removeUpTo(upTo, snapshot);
      Object.defineProperty(RawNode.prototype, 'applied', ofRaft);
    };
  },
};

/** Reads are asked for under the contexts that the process before has used: each member has one nonce for ever. */
export const repeatsReadContexts: PlantedBug = {
  name: 'repeated read contexts',
  randomInt: (bound, name) => (bound === BYTE ? (name.codePointAt(1) ?? 0) : undefined),
};

/** Each needs histories that a few seeds may not have, or, as the last one, its own scenario. */
export const rareBugs: readonly PlantedBug[] = [
  recyclesSegments,
  refusesFigureEight,
  comparesIndexes,
  compactsUnapplied,
  repeatsReadContexts,
];

export const plantedBugs: readonly PlantedBug[] = [
  commitsWithoutQuorum,
  votesTwice,
  losesHardState,
  readsStale,
  skipsApply,
  reordersWatch,
  ...periodicTaskBugs,
];
