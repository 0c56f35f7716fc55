import { reasonOf } from '../../lib/text.ts';
import type { RocksEngine } from '../../storage/rocks-engine.ts';
import type { CatalogEntry } from '../catalog.ts';
import { compareStore } from '../trial-restore.ts';
import { basesOf, type Chain, type LoggedManifest, titleOf } from './chains.ts';
import { usableAfter } from './plan.ts';
import { type LogPlace, readGrowingSegment } from './read-segment.ts';
import { replay } from './replay.ts';

export interface LogProof {
  readonly entries: number;
  readonly revision: number;
  /** Undefined if there were no entries. */
  readonly timeMs: number | undefined;
  /** The backup with whose HashKV the result was compared. Undefined at the end of the log. */
  readonly comparedWith: string | undefined;
}

/**
 * Applies the log after a backup to its restored store: up to the next backup, whose HashKV must be the same, or to the
 * end of the log.
 *
 * @throws Error that says what is missing, damaged or different
 */
export async function proveLog(
  engine: RocksEngine,
  manifest: LoggedManifest,
  { chain, chains, entries }: { chain: Chain; chains: readonly Chain[]; entries: readonly CatalogEntry[] },
  log: LogPlace,
): Promise<LogProof> {
  const { index } = manifest.applied;
  const next = basesOf(chain, chains, entries).find(({ applied }) => applied.index > index);
  const { segments, hole } = usableAfter(chain, index);
  const needed = segments.filter(({ first }) => next === undefined || first <= next.applied.index);
  const target = next === undefined ? {} : { index: next.applied.index };
  const result = await replay(engine, log, needed, target);
  if (hole !== undefined && (next === undefined || next.applied.index >= hole.from))
    throw new Error(
      `the entries ${hole.from} to ${hole.to} are missing, between the segments ${hole.before.name} and ${hole.after.name}`,
    );
  if (next !== undefined) {
    try {
      await compareStore(engine, next);
    } catch (error) {
      const reason = reasonOf(error);
      throw new Error(`after entry ${next.applied.index}, of backup ${next.id}, ${reason}`, { cause: error });
    }
  }
  const { entries: count, revision, timeMs } = result;
  return { entries: count, revision, timeMs, comparedWith: next?.id };
}

/** A chain does not follow the one before it. */
export interface Gap {
  readonly title: string;
  readonly reason: string;
}

/** The gaps between the chains of each cluster, with the reasons that the members wrote when they noticed them. */
export async function readGaps(chains: readonly Chain[], log: LogPlace): Promise<Gap[]> {
  const gaps: Gap[] = [];
  for (const chain of chains) {
    const before = chains
      .slice(0, chains.indexOf(chain))
      .findLast(({ clusterId }) => clusterId === chain.clusterId);
    const [first] = chain.segments;
    if (before === undefined || first === undefined) continue;
    const { header } = await readGrowingSegment(log, first);
    gaps.push({ title: titleOf(chain), reason: header.gap ?? 'its first segments were removed' });
  }
  return gaps;
}
