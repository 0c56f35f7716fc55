import { defined } from '../lib/assert.ts';
import type { Status } from '../raft/status.ts';
import { type Entry, type EntryType, Role, StepError } from '../raft/types.ts';
import type { MemberProgress } from '../server/consensus.ts';
import type { BatchReader, BatchWriter } from '../serving/batch.ts';
import { IS_LEARNER, RECENT_ACTIVE, type RaftFigures } from './records.ts';

const ROLES = Object.values(Role);
const REASONS = Object.values(StepError);

export function writeRole(out: BatchWriter, role: Role): void {
  out.u8(ROLES.indexOf(role));
}

export function readRole(reader: BatchReader): Role {
  return defined(ROLES[reader.u8()], 'the role is known');
}

export function writeReason(out: BatchWriter, reason: StepError): void {
  out.u8(REASONS.indexOf(reason));
}

export function readReason(reader: BatchReader): StepError {
  return defined(REASONS[reader.u8()], 'the reason is known');
}

export function writeEntries(out: BatchWriter, entries: readonly Entry[]): void {
  out.u32(entries.length);
  for (const { type, term, index, data } of entries) {
    out.u8(type);
    out.f64(term);
    out.f64(index);
    out.u8(data === undefined ? 0 : 1);
    if (data !== undefined) out.bytes(data, data.length);
  }
}

export function readEntries(reader: BatchReader): Entry[] {
  const entries: Entry[] = [];
  for (let left = reader.u32(); left > 0; left -= 1) {
    const type = reader.u8() as EntryType;
    const term = reader.f64();
    const index = reader.f64();
    entries.push({ type, term, index, data: reader.u8() === 1 ? reader.bytes() : undefined });
  }
  return entries;
}

export function writeFigures(out: BatchWriter, figures: RaftFigures): void {
  out.f64(figures.term);
  out.f64(figures.committed);
  out.f64(figures.appendsBegun);
  out.f64(figures.appendsDone);
  out.f64(figures.unwrittenBytes);
  out.f64(figures.unreleasedBytes);
  out.f64(figures.room);
  out.f64(figures.firstIndex);
  out.f64(figures.waitingProposals);
  out.f64(figures.steppedBytes);
  out.u64(figures.vote);
}

export function readFigures(reader: BatchReader): RaftFigures {
  return {
    term: reader.f64(),
    committed: reader.f64(),
    appendsBegun: reader.f64(),
    appendsDone: reader.f64(),
    unwrittenBytes: reader.f64(),
    unreleasedBytes: reader.f64(),
    room: reader.f64(),
    firstIndex: reader.f64(),
    waitingProposals: reader.f64(),
    steppedBytes: reader.f64(),
    vote: reader.u64(),
  };
}

export interface LeaderView {
  readonly leadTransferee: bigint;
  readonly progress: ReadonlyMap<bigint, MemberProgress>;
}

export function writeProgress(out: BatchWriter, { leadTransferee, progress }: Status): void {
  out.u64(leadTransferee);
  out.u32(progress.size);
  for (const [id, { match, isLearner, recentActive }] of progress) {
    out.u64(id);
    out.f64(match);
    out.u8((isLearner ? IS_LEARNER : 0) | (recentActive ? RECENT_ACTIVE : 0));
  }
}

export function readProgress(reader: BatchReader): LeaderView {
  const leadTransferee = reader.u64();
  const progress = new Map<bigint, MemberProgress>();
  for (let left = reader.u32(); left > 0; left -= 1) {
    const id = reader.u64();
    const match = reader.f64();
    const flags = reader.u8();
    progress.set(id, {
      match,
      isLearner: (flags & IS_LEARNER) !== 0,
      recentActive: (flags & RECENT_ACTIVE) !== 0,
    });
  }
  return { leadTransferee, progress };
}
