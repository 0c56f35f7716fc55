import type { Raft } from './raft.ts';
import type { Progress } from './tracker/progress.ts';
import type { TrackerConfig } from './tracker/tracker.ts';
import { Role } from './types.ts';
import type { HardState, SoftState } from './types.ts';

/** A view of one node. */
export interface Status {
  readonly id: bigint;
  readonly hardState: HardState;
  readonly softState: SoftState;
  readonly applied: number;
  readonly leadTransferee: bigint;
  readonly config: TrackerConfig;
  /** Copies, ordered by id; empty unless this node leads. */
  readonly progress: ReadonlyMap<bigint, Progress>;
}

export function statusOf(r: Raft): Status {
  const progress = new Map<bigint, Progress>();
  if (r.role === Role.Leader) {
    for (const [id, each] of r.tracker.progress) progress.set(id, each.clone());
  }
  return {
    id: r.id,
    hardState: r.hardState(),
    softState: r.softState(),
    applied: r.log.applied,
    leadTransferee: r.leadTransferee,
    config: r.tracker.config,
    progress,
  };
}
