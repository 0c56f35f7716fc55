import { assert } from '../lib/assert.ts';
import { Metadata } from '../wire/gen/etcdserverpb.ts';
import { bootstrapCluster } from '../membership/cluster.ts';
import type { ClusterMember } from '../membership/member.ts';

/** The ids of a member. They stay the same as long as its data directory exists. */
export interface Identity {
  readonly memberId: bigint;
  readonly clusterId: bigint;
}

/** The bootstrap of a member without data. */
export interface BootstrapResult extends Identity {
  /** The members of a new cluster. Empty for a member that joins a cluster and learns its members from the log. */
  readonly initialMembers: readonly ClusterMember[];
  /** The other members of a cluster that this one joins. */
  readonly remotes: readonly { readonly id: bigint; readonly peerUrls: readonly string[] }[];
}

/** The metadata record of the log, as etcd writes it. */
export function encodeIdentity({ memberId, clusterId }: Identity): Buffer {
  return Metadata.encode({ nodeId: memberId, clusterId });
}

export function decodeIdentity(metadata: Buffer): Identity {
  const { nodeId, clusterId } = Metadata.decode(metadata);
  return { memberId: nodeId, clusterId };
}

/** Static bootstrap of a new cluster. All its members derive the same ids from the same flags. */
export function bootstrapNewCluster(
  name: string,
  initial: ReadonlyMap<string, readonly string[]>,
  token: string,
): BootstrapResult {
  const cluster = bootstrapCluster(initial, token);
  assert(cluster !== undefined, 'members of the initial cluster have different ids');
  const local = cluster.members.find((member) => member.name === name);
  assert(local !== undefined, 'the member is one of its initial cluster');
  return { memberId: local.id, clusterId: cluster.id, initialMembers: cluster.members, remotes: [] };
}
