import type { PeerTransport } from '../../ports/peer-transport.ts';
import type { PeerPorts } from '../../server/whole-member.ts';

const unreachable = (): Promise<never> => Promise.reject(new Error('there are no other members'));
const ignore = (): void => undefined;

const transport: PeerTransport = {
  addPeer: ignore,
  addRemote: ignore,
  updatePeer: ignore,
  removePeer: ignore,
  removeAllPeers: ignore,
  send: ignore,
  sendSnapshot: ignore,
  activeSince: () => undefined,
  roundTripMs: () => undefined,
  activePeers: () => 0,
  counts: () => [],
  stop: ignore,
};

/** The ports of a member that is alone in its cluster. */
export const noOtherMembers: PeerPorts = {
  client: {
    cluster: unreachable,
    versions: unreachable,
    status: unreachable,
    downgradeEnabled: unreachable,
    promote: unreachable,
    rejoin: unreachable,
    renewLease: unreachable,
    leaseTimeToLive: unreachable,
    hashKv: unreachable,
    close: ignore,
  },
  openTransport: () => transport,
  snapshots: {
    export: unreachable,
    membershipData: () => Buffer.alloc(0),
    receive: unreachable,
    kept: () => 0,
  },
  removed: ignore,
};
