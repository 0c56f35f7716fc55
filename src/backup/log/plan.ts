import { reasonOf } from '../../lib/text.ts';
import type { CatalogEntry } from '../catalog.ts';
import type { Manifest } from '../manifest.ts';
import { type Chain, chainAfter, type Hole, isLogged, type LoggedManifest, segmentsAfter } from './chains.ts';
import { type LogPlace, readGrowingSegment } from './read-segment.ts';
import type { ReplayTarget } from './replay.ts';
import type { StoredSegment } from './segment-name.ts';

/** How to reach a moment. */
export interface RestorePlan {
  readonly manifest: Manifest;
  /** The segments after the backup that are needed, in order. */
  readonly segments: readonly StoredSegment[];
}

/**
 * Chooses the newest good backup before a moment from which the log reaches it.
 *
 * @param entries of one cluster
 * @param target without a revision and a time: the end of the log
 * @throws Error that says which moments can be reached
 */
export async function planRestore(
  entries: readonly CatalogEntry[],
  chains: readonly Chain[],
  log: LogPlace,
  target: ReplayTarget,
): Promise<RestorePlan> {
  const { revision = Infinity, timeMs = Infinity } = target;
  const isLatest = revision === Infinity && timeMs === Infinity;
  const before = entries
    .filter(({ fault, manifest }) => fault === undefined && isBefore(manifest, revision, timeMs))
    .map(({ manifest }) => manifest)
    .sort((a, b) => b.revision - a.revision || b.sequence - a.sequence);
  const reasons: string[] = [];
  for (const manifest of before) {
    if (manifest.revision === revision) return { manifest, segments: [] };
    const chain = chainAfter(chains, manifest);
    if (chain === undefined || !isLogged(manifest)) {
      if (isLatest) return { manifest, segments: [] };
      reasons.push(`no log follows backup ${manifest.id}`);
      continue;
    }
    const { segments, hole } = usableAfter(chain, manifest.applied.index);
    const end = segments.at(-1);
    const endRevision = end?.revision ?? manifest.revision;
    const endMs = end?.lastTimeMs ?? Date.parse(manifest.time);
    const isReached = isLatest
      ? hole === undefined
      : revision === Infinity
        ? endMs >= timeMs
        : endRevision >= revision;
    if (!isReached) {
      reasons.push(
        hole === undefined
          ? `the log after backup ${manifest.id} ends with revision ${endRevision} at ${timeText(endMs)}`
          : `the entries ${hole.from} to ${hole.to} of the log after backup ${manifest.id} are missing`,
      );
      continue;
    }
    const reason = await tooNew(log, chain, manifest, timeMs);
    if (reason === undefined) return { manifest, segments };
    reasons.push(reason);
  }
  throw new Error(
    reasons[0] ??
      'there is no good backup before it. "keystead backup list" shows which moments can be reached',
  );
}

function isBefore(manifest: Manifest, revision: number, timeMs: number): boolean {
  return manifest.revision <= revision && Date.parse(manifest.time) <= timeMs;
}

/** A snapshot shows a moment shortly after the time of its manifest. Undefined if it is not after `timeMs`. */
async function tooNew(
  log: LogPlace,
  chain: Chain,
  { id, applied }: LoggedManifest,
  timeMs: number,
): Promise<string | undefined> {
  if (timeMs === Infinity) return undefined;
  const segment = segmentsAfter(chain, applied.index - 1).find(({ first }) => first <= applied.index);
  if (segment === undefined) return undefined;
  let markMs = 0;
  try {
    for (const record of (await readGrowingSegment(log, segment)).records()) {
      if (record.kind === 'mark') markMs = record.mark.timeMs;
      else if (record.entry.index === applied.index) break;
    }
  } catch (error) {
    return reasonOf(error);
  }
  return markMs <= timeMs ? undefined : `backup ${id} has changes up to ${timeText(markMs)}`;
}

export function timeText(timeMs: number): string {
  return new Date(timeMs).toISOString();
}

/** The segments after an entry up to the first hole. */
export function usableAfter(
  chain: Chain,
  index: number,
): { readonly segments: readonly StoredSegment[]; readonly hole: Hole | undefined } {
  const hole = chain.holes.find(({ to }) => to > index);
  const after = segmentsAfter(chain, index);
  const segments = hole === undefined ? after : after.filter(({ last }) => last.index < hole.from);
  return { segments, hole };
}
