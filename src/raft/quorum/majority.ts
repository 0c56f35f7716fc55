import { hex } from '../../lib/text.ts';
import { byId } from '../types.ts';

/** Returns the acknowledged index of a voter; undefined if unknown. */
export interface AckedIndexer {
  ackedIndex(voter: bigint): number | undefined;
}

export const VoteResult = {
  /** Neither side has a quorum yet. */
  Pending: 'VotePending',
  /** A quorum can no longer be reached. */
  Lost: 'VoteLost',
  Won: 'VoteWon',
} as const;
export type VoteResult = (typeof VoteResult)[keyof typeof VoteResult];

/** A set of voters that decides by majority. The empty set decides nothing and constrains nothing. */
export type MajorityConfig = ReadonlySet<bigint>;

/** The highest index that a majority has acknowledged; infinite for the empty set. */
export function majorityCommitted(voters: MajorityConfig, acks: AckedIndexer): number {
  if (voters.size === 0) return Infinity;
  if (voters.size === 1) {
    for (const id of voters) return acks.ackedIndex(id) ?? 0;
  }
  const indexes: number[] = [];
  for (const id of voters) indexes.push(acks.ackedIndex(id) ?? 0);
  indexes.sort(ascending);
  return indexes[indexes.length - (Math.floor(indexes.length / 2) + 1)] ?? 0;
}

export function majorityVote(voters: MajorityConfig, votes: ReadonlyMap<bigint, boolean>): VoteResult {
  if (voters.size === 0) return VoteResult.Won;
  let granted = 0;
  let missing = 0;
  for (const id of voters) {
    const vote = votes.get(id);
    if (vote === undefined) missing++;
    else if (vote) granted++;
  }
  const quorum = Math.floor(voters.size / 2) + 1;
  if (granted >= quorum) return VoteResult.Won;
  return granted + missing >= quorum ? VoteResult.Pending : VoteResult.Lost;
}

export function sortedIds(ids: Iterable<bigint>): bigint[] {
  return [...ids].sort(byId);
}

/** The set as `(1 2 a)`: ids in hexadecimal, in order. */
export function describeMajority(voters: MajorityConfig): string {
  return `(${sortedIds(voters).map(hex).join(' ')})`;
}

/** A bar chart of the voters' acknowledged indexes, one voter a line; a longer bar is a higher index. */
export function describeAcks(voters: MajorityConfig, acks: AckedIndexer): string {
  const n = voters.size;
  if (n === 0) return '<empty majority quorum>';
  const rows = sortedIds(voters).map((id) => ({ id, index: acks.ackedIndex(id) }));
  const lines = rows.map(({ id, index }) => {
    const bar = rows.filter((other) => (other.index ?? 0) < (index ?? 0)).length;
    const chart = index === undefined ? `?${' '.repeat(n)}` : `${'x'.repeat(bar)}>${' '.repeat(n - bar)}`;
    return `${chart} ${String(index ?? 0).padStart(5)}    (id=${hex(id)})\n`;
  });
  return `${' '.repeat(n)}    idx\n${lines.join('')}`;
}

export function describeIndex(index: number): string {
  return index === Infinity ? '∞' : String(index);
}

function ascending(a: number, b: number): number {
  return a - b;
}
