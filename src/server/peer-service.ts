import { formatVersion } from '../membership/version.ts';
import type { PeerService } from '../ports/peer-client.ts';
import { hashStore } from './hash-store.ts';
import type { Leases } from './leases.ts';
import type { Member } from './member.ts';
import type { Memberships } from './memberships.ts';
import type { Rejoins } from './rejoins.ts';

export interface PeerServiceOptions {
  readonly member: Member;
  readonly leases: Leases;
  readonly memberships: Memberships;
  readonly rejoins: Rejoins;
}

/** Serves requests of other members, in addition to raft messages. */
export function peerServiceOf({ member, leases, memberships, rejoins }: PeerServiceOptions): PeerService {
  const { cluster, store } = member;
  return {
    clusterId: member.identity.clusterId,
    members: () => cluster.members(),
    versions: () => {
      const text = cluster.version === undefined ? undefined : formatVersion(cluster.version);
      return { cluster: text ?? 'not_decided', storage: text ?? 'unknown' };
    },
    promote: (id) => memberships.promoteHere(id),
    rejoin: (id, peerUrls) => rejoins.replace({ id, peerUrls }),
    renewLease: (id) => leases.renewHere(id),
    leaseTimeToLive: (id, withKeys) => leases.timeToLiveHere(id, withKeys),
    hashKv: async (revision) => {
      const { hash, revision: hashRevision, compactRevision } = await hashStore(member, revision);
      return { hash, revision: store.revision, hashRevision, compactRevision };
    },
    downgradeEnabled: () =>
      new Promise((resolve, reject) => {
        member.read({ readable: () => resolve(cluster.downgrade.enabled), failed: reject });
      }),
  };
}
