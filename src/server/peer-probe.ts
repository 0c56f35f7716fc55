import { hex, reasonOf } from '../lib/text.ts';
import type { Logger } from '../ports/logger.ts';
import type { PeerClient } from '../ports/peer-client.ts';

const TIMEOUT_MS = 2_000;
/** URLs looked at of one member, which may come with thousands: each takes a connection. */
const MAX_PROBED = 8;

export interface PeerProbe {
  readonly client: Pick<PeerClient, 'cluster'>;
  /** This member's cluster. */
  readonly clusterId: bigint;
  readonly logger: Logger;
}

/**
 * Looks at what answers at the first peer URLs of a member that is to be added, and logs what speaks against it; nothing is
 * refused for it. That nobody answers is usual, since most members are started after they were added, but it is also
 * what a wrong URL looks like, which costs the cluster a vote. Resolves within two seconds, and never rejects.
 */
export async function probePeers(peerUrls: readonly string[], probe: PeerProbe): Promise<void> {
  await Promise.all(peerUrls.slice(0, MAX_PROBED).map((url) => probeOne(url, probe)));
}

async function probeOne(url: string, { client, clusterId, logger }: PeerProbe): Promise<void> {
  try {
    const answered = await client.cluster([url], TIMEOUT_MS);
    if (answered.clusterId === clusterId) return;
    logger.warn('a member of another cluster answers at a peer URL of the member to add', {
      'peer-url': url,
      'cluster-id': hex(clusterId),
      'remote-cluster-id': hex(answered.clusterId),
    });
  } catch (error) {
    logger.warn('nobody answers at a peer URL of the member to add; it is to be started there', {
      'peer-url': url,
      error: reasonOf(error),
    });
  }
}
