import { EMPTY } from '../../wire/reader.ts';
import { ConfChange, ConfChangeTransition, ConfChangeType, ConfChangeV2, EntryType } from '../types.ts';
import type { ConfChangeSingle, Entry } from '../types.ts';
import { ConfChangeError } from './changer.ts';

/** Either form of a proposed change: v1 has a single change, v2 any number. */
export type AnyConfChange = ConfChange | ConfChangeV2;

export function isV2(change: AnyConfChange): change is ConfChangeV2 {
  return 'changes' in change;
}

export function asV2(change: AnyConfChange): ConfChangeV2 {
  if (isV2(change)) return change;
  return {
    transition: ConfChangeTransition.ConfChangeTransitionAuto,
    changes: [{ type: change.type, nodeId: change.nodeId }],
    context: change.context,
  };
}

/** The entry that proposes `change`; undefined leaves a joint configuration, with no data at all. */
export function confChangeEntry(change: AnyConfChange | undefined): Entry {
  const entry: Entry = { type: EntryType.EntryConfChangeV2, term: 0, index: 0, data: undefined };
  if (change === undefined) return entry;
  if (isV2(change)) return { ...entry, data: ConfChangeV2.encode(change) };
  return { ...entry, type: EntryType.EntryConfChange, data: ConfChange.encode(change) };
}

export function isConfChange(entry: Entry): boolean {
  return entry.type === EntryType.EntryConfChange || entry.type === EntryType.EntryConfChangeV2;
}

/** @throws an Error of the decoder when the entry's data is not a configuration change */
export function decodeConfChange(entry: Entry): AnyConfChange {
  const data = entry.data ?? EMPTY;
  return entry.type === EntryType.EntryConfChange ? ConfChange.decode(data) : ConfChangeV2.decode(data);
}

/** A change without any changes, which leaves the joint configuration. */
export function leavesJoint(change: ConfChangeV2): boolean {
  return change.transition === ConfChangeTransition.ConfChangeTransitionAuto && change.changes.length === 0;
}

/**
 * Whether the change needs a joint configuration, and whether that is left automatically. Every change of more than one
 * node needs one, because it depends on the configuration whether it could be made at once.
 *
 * @throws ConfChangeError for a transition this version does not know
 */
export function jointTransition(change: ConfChangeV2): { autoLeave: boolean } | undefined {
  switch (change.transition) {
    case ConfChangeTransition.ConfChangeTransitionAuto:
      return change.changes.length > 1 ? { autoLeave: true } : undefined;
    case ConfChangeTransition.ConfChangeTransitionJointImplicit:
      return { autoLeave: true };
    case ConfChangeTransition.ConfChangeTransitionJointExplicit:
      return { autoLeave: false };
    default:
      throw new ConfChangeError(`unknown transition: ${String(change.transition)}`);
  }
}

const letters: Readonly<Record<number, string>> = {
  [ConfChangeType.ConfChangeAddNode]: 'v',
  [ConfChangeType.ConfChangeAddLearnerNode]: 'l',
  [ConfChangeType.ConfChangeRemoveNode]: 'r',
  [ConfChangeType.ConfChangeUpdateNode]: 'u',
};

/** Changes in short: `v1 l2 r3 u4` makes 1 a voter and 2 a learner, removes 3 and updates 4. */
export function formatChanges(changes: readonly ConfChangeSingle[]): string {
  return changes.map(({ type, nodeId }) => `${letters[type] ?? 'unknown'}${nodeId}`).join(' ');
}

/** The inverse of `formatChanges`. @throws ConfChangeError naming the word that is not a change */
export function parseChanges(text: string): ConfChangeSingle[] {
  const words = text.trim();
  if (words === '') return [];
  return words.split(' ').map((word) => {
    const type = Object.entries(letters).find(([, letter]) => word.startsWith(letter));
    const digits = word.slice(1);
    if (type === undefined || !/^\d+$/.test(digits)) throw new ConfChangeError(`unknown input: ${word}`);
    return { type: Number(type[0]) as ConfChangeType, nodeId: BigInt(digits) };
  });
}
