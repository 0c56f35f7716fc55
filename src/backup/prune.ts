import { readCatalog } from './catalog.ts';
import { logPlaceOf, readLogCatalog } from './log/chains.ts';
import { expiredSegments } from './log/prune-log.ts';
import { manifestName } from './manifest.ts';
import type { BackupPlace } from './place.ts';
import { abandonedObjects, expiredBackups, type Retention } from './retention.ts';

/**
 * Removes the backups that retention does not keep, the parts of the log that only they needed, and old leftovers.
 *
 * @returns the ids of the backups and the names of the other objects
 */
export async function prunePlace(
  place: BackupPlace,
  retention: Retention,
  nowMs: number,
  isDry = false,
): Promise<string[]> {
  const catalog = await readCatalog(place);
  const expired = expiredBackups(catalog.entries, retention, nowMs);
  const backups = expired.map(({ manifest }) => manifest);
  const logPlace = logPlaceOf(place);
  const hasRules = retention.keepLast !== undefined || retention.keepDays !== undefined;
  const kept = catalog.entries.filter((entry) => !expired.includes(entry));
  const segments = hasRules ? expiredSegments(await readLogCatalog(logPlace), catalog, kept, nowMs) : [];
  const leftovers = abandonedObjects(catalog, nowMs).map(({ name }) => name);
  if (!isDry) {
    for (const { id, object } of backups) {
      // Without its manifest it is no backup any more. So a removal that is interrupted leaves no damaged backup.
      await place.remove(manifestName(id));
      await place.remove(object);
    }
    for (const name of leftovers) await place.remove(name);
    for (const name of segments) await logPlace.remove(name);
  }
  return [...backups.map(({ id }) => id), ...leftovers, ...segments];
}
