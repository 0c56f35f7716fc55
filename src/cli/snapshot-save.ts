import { promises as fs } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { reasonOf } from '../lib/text.ts';
import { verifyChecksum } from '../snapshot/import-task.ts';
import { syncPath } from '../storage/data-dir.ts';
import type { SnapshotResponse } from '../wire/gen/etcdserverpb.ts';
import { CLIENT_USAGE, type ClientSettings, isJsonWanted, parseClient } from './client/client-flags.ts';
import { type EndpointClient, firstAnswer, withClients } from './client/endpoint-client.ts';
import { Progress } from './progress.ts';

export interface SaveOptions {
  readonly client: ClientSettings;
  /** A file, or a folder with a slash at its end. Then the name of the file has the time. */
  readonly target: string;
  /** Number of snapshots to keep in the folder; undefined keeps all. */
  readonly keep: number | undefined;
  readonly now: Date;
}

const SAVED = /^keystead-\d{8}T\d{6}Z\.db$/;

/**
 * Saves a snapshot of a running cluster. The file gets its name only when it is complete, verified and on disk.
 *
 * @returns the path of the file
 * @throws Error if no endpoint sends a complete snapshot, or the file cannot be written
 */
export async function saveSnapshot({ client, target, keep, now }: SaveOptions): Promise<string> {
  const isFolder = target.endsWith('/');
  const path = isFolder ? join(target, nameAt(now)) : target;
  const part = `${path}.part`;
  try {
    await withClients(client, (clients) => firstAnswer(clients, (each) => downloadSnapshot(each, part)));
    await fs.rename(part, path);
  } catch (error) {
    await fs.rm(part, { force: true });
    throw error;
  }
  syncPath(dirname(path));
  if (isFolder && keep !== undefined) await removeOlder(target, keep, basename(path));
  return path;
}

function nameAt(now: Date): string {
  return `keystead-${now.toISOString().replace(/[-:]|\.\d+/g, '')}.db`;
}

/**
 * Saves a snapshot of one endpoint.
 *
 * @throws Error if the server ends the stream, or the file does not have its checksum
 */
export async function downloadSnapshot(
  client: EndpointClient,
  path: string,
  progress = new Progress(),
): Promise<void> {
  const file = await fs.open(path, 'w', 0o600);
  try {
    let bytes = 0;
    for await (const {
      blob,
      remainingBytes,
    } of (await client.snapshot()) as AsyncIterable<SnapshotResponse>) {
      await file.writeFile(blob);
      bytes += blob.length;
      progress.show('saving the snapshot', 'bytes', bytes, bytes + remainingBytes);
    }
    await file.sync();
  } finally {
    progress.end();
    await file.close();
  }
  if (!verifyChecksum(path)) throw new Error('the snapshot has no checksum at its end');
}

/** Never removes the new file, also if the clock was set back. */
async function removeOlder(folder: string, keep: number, newest: string): Promise<void> {
  const others = (await fs.readdir(folder)).filter((name) => SAVED.test(name) && name !== newest).toSorted();
  for (const name of others.slice(0, Math.max(0, others.length - (keep - 1))))
    await fs.rm(join(folder, name));
}

const USAGE = `Usage: keystead snapshot save <file> [options]

Saves a snapshot of a running cluster of Keystead or etcd. The endpoints are tried in their order.

  --keep                          With a folder (a slash at its end) in place of the file: keeps this many snapshots
  -o, --output                    text or json (default "text")
${CLIENT_USAGE}`;

/** The flags of the command, for `parseArgs`. */
export const saveFlags = {
  keep: { type: 'string' },
  output: { type: 'string', short: 'o', default: 'text' },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

/** `snapshot save`. Returns the exit code. */
export async function runSave(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  out: (text: string) => void,
  err: (text: string) => void,
): Promise<number> {
  let options: SaveOptions;
  let isJson: boolean;
  try {
    const { settings, values, positionals } = parseClient(args, environment, saveFlags);
    if (values['help'] === true) {
      out(USAGE);
      return 0;
    }
    isJson = isJsonWanted(values['output']);
    const [target, ...rest] = positionals;
    if (target === undefined || rest.length > 0) throw new Error('give one file or folder');
    const keep = typeof values['keep'] === 'string' ? Number(values['keep']) : undefined;
    if (keep !== undefined && (!Number.isSafeInteger(keep) || keep < 1))
      throw new Error('--keep must be a positive number');
    if (keep !== undefined && !target.endsWith('/'))
      throw new Error('--keep needs a folder with a slash at its end');
    options = { client: settings, target, keep, now: new Date() };
  } catch (error) {
    err(`keystead snapshot save: ${reasonOf(error)}\n${USAGE}`);
    return 2;
  }
  try {
    const path = await saveSnapshot(options);
    out(isJson ? JSON.stringify({ path }) : `Snapshot saved at ${path}`);
    return 0;
  } catch (error) {
    err(`keystead snapshot save: ${reasonOf(error)}`);
    return 1;
  }
}
