import { prunePlace } from '../../backup/prune.ts';
import type { BackupSource, SourceHash } from '../../backup/take.ts';
import { takeBackup } from '../../backup/take.ts';
import { HashKVRequest } from '../../wire/gen/etcdserverpb.ts';
import { errors } from '../../wire/errors.ts';
import { Maintenance } from '../../wire/services.ts';
import { CLIENT_USAGE, parseClient } from '../client/client-flags.ts';
import { type EndpointClient, firstAnswer, withClients } from '../client/endpoint-client.ts';
import { Progress } from '../progress.ts';
import { downloadSnapshot } from '../snapshot-save.ts';
import { KEYSTEAD_VERSION } from '../version.ts';
import {
  type BackupCommand,
  parsed,
  placeFlags,
  placeSettings,
  RETENTION_USAGE,
  retentionFlags,
  retentionOf,
} from './command.ts';

/** HashKV reads the whole store, which takes longer than other requests. */
const HASH_TIMEOUT_MS = 600_000;

const usage = `Usage: keystead backup run --url <place> [options]

Takes a backup of a running cluster of Keystead or etcd and verifies it. The endpoints are tried in their order. The
backup is listed only when it is complete. With --keep-last or --keep-days, old backups are removed afterwards.

${CLIENT_USAGE}
${RETENTION_USAGE}`;

export const runCommand: BackupCommand = {
  usage,
  run: async ({ args, environment, out }) => {
    const { settings, client, retention } = await parsed(async () => {
      const {
        settings: client,
        values,
        positionals,
      } = parseClient(args, environment, { ...placeFlags, ...retentionFlags });
      if (positionals.length > 0) throw new Error(`unexpected ${positionals.join(' ')}`);
      return { settings: await placeSettings(values, environment), client, retention: retentionOf(values) };
    });
    const { place, key, temporary, isJson } = settings;
    const now = (): Date => new Date();
    const progress = new Progress();
    const manifest = await withClients(
      { ...client, timeoutMs: Math.max(client.timeoutMs, HASH_TIMEOUT_MS) },
      (clients) =>
        firstAnswer(clients, (each) =>
          takeBackup({
            place,
            key,
            temporary,
            now,
            keysteadVersion: KEYSTEAD_VERSION,
            source: sourceOf(each, progress),
            onProgress: (...state) => progress.show(...state),
          }),
        ),
    ).finally(() => progress.end());
    out(
      isJson
        ? JSON.stringify(manifest)
        : `backup ${manifest.id} of revision ${manifest.revision}, ${manifest.bytes} bytes, verified`,
    );
    const removed = await prunePlace(place, retention, now().getTime());
    if (!isJson) for (const name of removed) out(`removed ${name}`);
    return 0;
  },
};

function sourceOf(client: EndpointClient, progress: Progress): BackupSource {
  return {
    save: (path) => downloadSnapshot(client, path, progress),
    hashKv: async (revision): Promise<SourceHash | undefined> => {
      try {
        const { header, hash, compactRevision } = await client.call(
          Maintenance.methods.hashKv,
          HashKVRequest.create({ revision }),
        );
        const { clusterId = 0n, memberId = 0n } = header ?? {};
        return { hash, compactRevision, clusterId, memberId };
      } catch (error) {
        if (error instanceof Error && error.message === errors.Compacted.message) return undefined;
        throw error;
      }
    },
  };
}
