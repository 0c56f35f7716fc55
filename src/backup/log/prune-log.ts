import type { Catalog, CatalogEntry } from '../catalog.ts';
import { isAbandoned } from '../retention.ts';
import { follows, isLogged, type LogCatalog } from './chains.ts';
import type { StoredSegment } from './segment-name.ts';

/**
 * Returns the names of the objects of the log that no kept backup needs: a segment is kept if the oldest kept backup
 * that its chain follows is before its end. The newest chain of each cluster is always kept, because its first backup
 * may be under way. Nothing is removed if no backup is removed by rule, or if a manifest cannot be read.
 *
 * @param kept the backups that are kept, with or without a fault
 */
export function expiredSegments(
  { chains, leftovers }: LogCatalog,
  { unreadable }: Pick<Catalog, 'unreadable'>,
  kept: readonly CatalogEntry[],
  nowMs: number,
): string[] {
  if (unreadable.length > 0) return [];
  const expired: StoredSegment[] = [];
  for (const chain of chains) {
    const bases = kept.map(({ manifest }) => manifest).filter((manifest) => follows(chain, manifest));
    const oldest = bases
      .filter(isLogged)
      .reduce((least, { applied }) => Math.min(least, applied.index), Infinity);
    const isNewest = chains.findLast(({ clusterId }) => clusterId === chain.clusterId) === chain;
    // A segment with the last entry of the backup itself is kept, because it has its time.
    if (oldest < Infinity || !isNewest)
      expired.push(...chain.segments.filter(({ last }) => last.index < oldest));
    expired.push(...chain.covered.filter((segment) => isAbandoned(segment, nowMs)));
  }
  const names = [...expired, ...leftovers.filter((object) => isAbandoned(object, nowMs))];
  return names.map(({ name }) => name);
}
