import { hex, reasonOf } from '../lib/text.ts';
import type { Logger } from '../ports/logger.ts';
import type { PeerClient } from '../ports/peer-client.ts';

const TIMEOUT_MS = 2_000;
/** Maximum number of URLs that are probed. A request may contain thousands, and each needs a connection. */
const MAX_PROBED = 8;

export interface PeerProbe {
  readonly client: Pick<PeerClient, 'cluster'>;
  /** This member's cluster. */
  readonly clusterId: bigint;
  readonly logger: Logger;
}

/**
 * Probes the first peer URLs of a new member and logs warnings. It never refuses the member. No response is normal,
 * since most members are started after they are added. But it can also mean a wrong URL, and a voter that never starts
 * weakens the quorum. Resolves within two seconds and never rejects.
 */
export async function probePeers(peerUrls: readonly string[], probe: PeerProbe): Promise<void> {
  await Promise.all(peerUrls.slice(0, MAX_PROBED).map((url) => probeOne(url, probe)));
}

async function probeOne(url: string, { client, clusterId, logger }: PeerProbe): Promise<void> {
  try {
    const answered = await client.cluster([url], TIMEOUT_MS);
    if (answered.clusterId === clusterId) return;
    logger.warn('a peer URL of the added member belongs to a member of another cluster', {
      'peer-url': url,
      'cluster-id': hex(clusterId),
      'remote-cluster-id': hex(answered.clusterId),
    });
  } catch (error) {
    logger.warn('no response from a peer URL of the added member; start the member there', {
      'peer-url': url,
      error: reasonOf(error),
    });
  }
}
