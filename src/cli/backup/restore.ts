import { promises as fs } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { type CatalogEntry, entryWithId, readCatalog } from '../../backup/catalog.ts';
import { logPlaceOf, readLogCatalog } from '../../backup/log/chains.ts';
import { planRestore, type RestorePlan, timeText } from '../../backup/log/plan.ts';
import { replay, type Replayed } from '../../backup/log/replay.ts';
import type { Manifest } from '../../backup/manifest.ts';
import { newestGood } from '../../backup/retention.ts';
import { compareStore } from '../../backup/trial-restore.ts';
import { checkComplete, download } from '../../backup/verify.ts';
import { reasonOf } from '../../lib/text.ts';
import { Progress } from '../progress.ts';
import { reasonToSkip, restoreFlags, restoreOptions, restoreSnapshot } from '../restore.ts';
import { type BackupCommand, parsed, placeFlags, placeSettings } from './command.ts';
import { momentFlags, momentOf } from './moment.ts';

/** As etcd's documentation recommends: more than the writes since any backup that could be restored. */
const BUMP = 1_000_000_000;

const usage = `Usage: keystead backup restore [ID | --to-time <time> | --to-revision <revision> | --to-latest] --url <place> --data-dir <directory> [options]

Creates the data directory of a member of a new cluster from a backup; by default from the newest good one. All members
must be created from the same backup with the same flags. The revision is raised and marked as compacted, so that the
clients of the old cluster notice, such as the watches of Kubernetes.

  --to-time                       Restores this moment, such as 2026-11-22T10:00:00Z: the newest backup before it, and then the
                                  log of the server up to the last change at that time
  --to-revision                   Restores this revision by a backup and the log
  --to-latest                     Restores the end of the log
  --cluster                       ID of the cluster whose newest backup to restore, if the place has several
  --name                          Human-readable name for this member (default "default")
  --initial-cluster               Members of the new cluster (default "<name>=http://localhost:2380")
  --initial-cluster-token         Token of the new cluster (default "etcd-cluster")
  --initial-advertise-peer-urls   This member's peer URLs (default "http://localhost:2380")
  --wal-dir                       Directory of the log (default: inside the data directory)
  --bump-revision                 Number to add to the latest revision; 0 to keep it (default "${BUMP}")
  --mark-compacted                Accepted; always done with a raised revision
  --init                          For an init container: does nothing if the directory has data, or if --initial-cluster
                                  does not contain this member, which then joins later
`;

/** The flags of the command, for `parseArgs`. */
export const backupRestoreFlags = {
  ...placeFlags,
  ...restoreFlags,
  ...momentFlags,
  cluster: { type: 'string' },
} as const;

export const restoreCommand: BackupCommand = {
  usage,
  run: async ({ args, environment, out }) => {
    const { settings, id, cluster, moment, options } = await parsed(async () => {
      const { values, positionals } = parseArgs({
        args: [...args],
        allowPositionals: true,
        options: backupRestoreFlags,
      });
      if (positionals.length > 1) throw new Error('give one ID');
      if (values['data-dir'] === undefined) throw new Error('--data-dir is missing');
      const moment = momentOf(values);
      if (moment !== undefined && positionals.length > 0) throw new Error('give an ID or a moment, not both');
      return {
        settings: await placeSettings(values, environment),
        id: positionals[0],
        cluster: values.cluster,
        moment,
        options: restoreOptions(values, { file: '', skipHashCheck: false, bump: BUMP }),
      };
    });
    const reason = reasonToSkip(options);
    if (reason !== undefined) {
      out(settings.isJson ? JSON.stringify({ skipped: reason }) : `nothing to restore: ${reason}`);
      return 0;
    }
    const { place, key, isJson } = settings;
    const log = { place: logPlaceOf(place), key };
    const { entries } = await readCatalog(place);
    const { manifest, segments } =
      moment === undefined
        ? chosen(choose(entries, id, cluster))
        : await planRestore(
            ofOneCluster(entries, cluster),
            (await readLogCatalog(log.place)).chains,
            log,
            moment,
          );
    // Next to the data directory, because the folder for temporary files may be too small.
    const file = `${options.dataDir}.download`;
    const progress = new Progress();
    let replayed: Replayed | undefined;
    try {
      await fs.mkdir(dirname(file), { recursive: true });
      await download(place, manifest, key, file, (...state) => progress.show(...state));
      const { keys } = await restoreSnapshot({
        ...options,
        file,
        onProgress: (changes) => progress.show('restoring', 'changes', changes),
        check: async (engine) => {
          await compareStore(engine, manifest);
          if (moment === undefined || segments.length === 0) return;
          replayed = await replay(engine, log, segments, moment);
          if (!replayed.isReached) throw new Error(`the log ends with revision ${replayed.revision}`);
        },
      });
      progress.end();
      report({ manifest, keys, replayed, dataDir: options.dataDir, bump: options.bumpRevision }, isJson, out);
      return 0;
    } catch (error) {
      throw new Error(`${manifest.id}: ${reasonOf(error)}`, { cause: error });
    } finally {
      progress.end();
      await fs.rm(file, { force: true });
    }
  },
};

interface Restored {
  readonly manifest: Manifest;
  readonly keys: number;
  /** Undefined if only the backup was restored. */
  readonly replayed: Replayed | undefined;
  readonly dataDir: string;
  readonly bump: number;
}

function report(
  { manifest, keys, replayed, dataDir, bump }: Restored,
  isJson: boolean,
  out: (text: string) => void,
): void {
  const { id, revision: backupRevision } = manifest;
  const reached = replayed?.revision ?? backupRevision;
  const revision = reached + bump;
  const time = replayed?.timeMs === undefined ? manifest.time : timeText(replayed.timeMs);
  if (isJson) {
    const log =
      replayed === undefined ? {} : { logEntries: replayed.entries, reachedRevision: reached, time };
    out(JSON.stringify({ id, keys, backupRevision, ...log, revision }));
    return;
  }
  const log =
    replayed === undefined
      ? ''
      : `, then ${replayed.entries} entries of the log up to revision ${reached} at ${time}`;
  out(
    `restored backup ${id}: ${keys} keys of revision ${backupRevision}${log}, now revision ${revision}, in ${dataDir}`,
  );
}

/** A backup that was named, or the newest one. @throws Error if it is not complete */
function chosen(entry: CatalogEntry): RestorePlan {
  try {
    checkComplete(entry);
  } catch (error) {
    throw new Error(`${entry.manifest.id}: ${reasonOf(error)}`, { cause: error });
  }
  return { manifest: entry.manifest, segments: [] };
}

/** @throws Error if there is no such backup, or if it is not clear which cluster is meant */
function choose(
  entries: readonly CatalogEntry[],
  id: string | undefined,
  cluster: string | undefined,
): CatalogEntry {
  if (id !== undefined) return entryWithId(entries, id);
  const newest = newestGood(ofOneCluster(entries, cluster));
  if (newest === undefined) throw new Error('there are no backups');
  return newest;
}

/** @throws Error if it is not clear which cluster is meant */
function ofOneCluster(
  entries: readonly CatalogEntry[],
  cluster: string | undefined,
): readonly CatalogEntry[] {
  const own = entries.filter(({ manifest }) => cluster === undefined || manifest.clusterId === cluster);
  const clusters = new Set(own.map(({ manifest }) => manifest.clusterId));
  if (clusters.size > 1)
    throw new Error(`there are backups of the clusters ${[...clusters].join(', ')}: give --cluster or an ID`);
  return own;
}
