import type { Catalog, CatalogEntry } from './catalog.ts';
import type { StoredObject } from './place.ts';

const DAY_MS = 86_400_000;
/** After this time an object without a manifest is not of a run that is still under way. */
const LEFTOVER_MS = DAY_MS;

export interface Retention {
  /** The newest backups to keep, for each cluster; undefined if only the age counts. */
  readonly keepLast: number | undefined;
  /** Backups that are younger are kept; undefined if only the number counts. */
  readonly keepDays: number | undefined;
}

/**
 * Returns the backups that neither rule keeps. The newest good backup of each cluster is always kept, whatever the
 * rules and the clock say. Good means verified and not found damaged since. If none is, the newest one that is complete
 * is kept. The order is that of the sequence, so a clock that steps cannot make an old backup the newest.
 *
 * @returns nothing if no rule is given
 */
export function expiredBackups(
  entries: readonly CatalogEntry[],
  { keepLast, keepDays }: Retention,
  nowMs: number,
): CatalogEntry[] {
  if (keepLast === undefined && keepDays === undefined) return [];
  const clusters = new Map<string, CatalogEntry[]>();
  for (const entry of entries) {
    const { clusterId } = entry.manifest;
    const others = clusters.get(clusterId);
    if (others === undefined) clusters.set(clusterId, [entry]);
    else others.push(entry);
  }
  return [...clusters.values()].flatMap((own) => {
    const kept = new Set(own.slice(firstKept(own, keepLast ?? 0)));
    for (const entry of own)
      if (keepDays !== undefined && ageMs(entry, nowMs) < keepDays * DAY_MS) kept.add(entry);
    const lastGood = newestGood(own);
    if (lastGood !== undefined) kept.add(lastGood);
    return own.filter((entry) => !kept.has(entry));
  });
}

/** The place of the oldest of the newest `count` backups that have no fault. Newer ones with a fault are kept as well. */
function firstKept(own: readonly CatalogEntry[], count: number): number {
  if (count === 0) return own.length;
  const sound = own.flatMap(({ fault }, n) => (fault === undefined ? [n] : []));
  return sound[sound.length - count] ?? 0;
}

/** The newest verified backup, or the newest complete one, or the newest one. */
export function newestGood(entries: readonly CatalogEntry[]): CatalogEntry | undefined {
  const complete = entries.filter(({ fault }) => fault === undefined);
  return (
    complete.filter(({ manifest }) => manifest.verifiedAt !== undefined).at(-1) ??
    complete.at(-1) ??
    entries.at(-1)
  );
}

/** Negative if the time is in the future, because a clock was set. */
function ageMs({ manifest }: CatalogEntry, nowMs: number): number {
  return nowMs - Date.parse(manifest.time);
}

/** Returns the objects that interrupted runs have left. */
export function abandonedObjects({ leftovers }: Catalog, nowMs: number): StoredObject[] {
  return leftovers.filter((object) => isAbandoned(object, nowMs));
}

export function isAbandoned({ modifiedMs }: StoredObject, nowMs: number): boolean {
  return nowMs - modifiedMs > LEFTOVER_MS;
}
