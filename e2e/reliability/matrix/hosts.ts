import { join } from 'node:path';
import type { Placement } from '../../clusters/test-cluster.ts';
import { Relay } from '../../harness/relay.ts';
import { freePort } from '../../harness/ports.ts';
import { TestDisk } from '../../harness/test-disk.ts';
import { TestNetwork } from '../../harness/test-network.ts';

/** The disks of a member: one for its log, one for its store. */
export interface Disks {
  readonly log: TestDisk;
  readonly store: TestDisk;
}

/** Separate disks and a network for the members of one cluster, into which faults can be injected. */
export class FaultyHosts {
  readonly disks: readonly Disks[];
  readonly network: TestNetwork;

  constructor(members: number) {
    this.network = new TestNetwork(members);
    this.disks = Array.from({ length: members }, () => ({ log: new TestDisk(), store: new TestDisk() }));
  }

  get placements(): Placement[] {
    return this.disks.map(({ log, store }, at) => ({
      host: this.network.host(at),
      prefix: this.network.prefix(at),
      dataDir: join(store.path, 'data'),
      flags: [`--wal-dir=${join(log.path, 'wal')}`],
    }));
  }

  remove(): void {
    for (const { log, store } of this.disks) {
      log.remove();
      store.remove();
    }
    this.network.remove();
  }
}

/** Connections between members with a high latency, made by relays in this process. */
export class DelayedPeerNetwork {
  readonly placements: readonly Placement[];
  readonly #relays: readonly Relay[];

  private constructor(placements: readonly Placement[], relays: readonly Relay[]) {
    this.placements = placements;
    this.#relays = relays;
  }

  /** @param roundTripMs round-trip time between any two members */
  static async open(members: number, roundTripMs: number): Promise<DelayedPeerNetwork> {
    const placements: Placement[] = [];
    const relays: Relay[] = [];
    for (let at = 0; at < members; at += 1) {
      const [relayPort, peerPort] = [await freePort(), await freePort()];
      relays.push(await Relay.open(relayPort, peerPort, roundTripMs / 2));
      placements.push({ relayPort, peerPort });
    }
    return new DelayedPeerNetwork(placements, relays);
  }

  remove(): void {
    for (const relay of this.#relays) relay.close();
  }
}
