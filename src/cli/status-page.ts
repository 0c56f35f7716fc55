import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Config } from '../config/config.ts';
import { reasonOf } from '../lib/text.ts';
import type { Logging } from '../logging/logging.ts';
import type { EventLoopDelay } from '../metrics/event-loop.ts';
import type { PeerClient } from '../ports/peer-client.ts';
import type { WholeMember } from '../server/whole-member.ts';
import type { StatusPage } from '../status/status-page.ts';
import type { DataDirectory } from '../storage/data-dir.ts';
import { spaceOf } from '../storage/disk-space.ts';
import { processStatus } from './process-status.ts';
import { StartError } from './start-error.ts';
import { ETCD_VERSION } from './version.ts';

/** The files of the page, which the build puts beside the bundle. */
const FOLDER = 'status-page';

/**
 * Opens the status page where the flags ask for it. Its code and its files are loaded only then.
 *
 * @throws StartError if its files cannot be read
 */
export async function openStatusPage(
  config: Config,
  logging: Logging,
  {
    whole,
    client,
    directory,
    eventLoop,
  }: {
    readonly whole: WholeMember;
    readonly client: PeerClient;
    readonly directory: DataDirectory;
    readonly eventLoop: EventLoopDelay;
  },
): Promise<StatusPage | undefined> {
  if (config.statusUrls.length === 0) return undefined;
  const { StatusPage: Page } = await import('../status/status-page.ts');
  try {
    return await Page.open({
      folder: join(dirname(fileURLToPath(import.meta.url)), FOLDER),
      member: whole.member,
      peers: whole.transport,
      client,
      usage: whole.usage,
      eventLoop,
      diskSpace: () => spaceOf(directory.rocksdb),
      process: () => ({
        ...processStatus(),
        etcdVersion: ETCD_VERSION,
        runtime: `Node.js ${process.versions.node}`,
        memoryBytes: process.memoryUsage.rss(),
      }),
      logger: logging.for('status/http.ts'),
    });
  } catch (error) {
    throw new StartError(`the status page cannot be opened: ${reasonOf(error)}`, { cause: error });
  }
}
