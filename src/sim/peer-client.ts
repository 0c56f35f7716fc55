import {
  type PeerService,
  type PeerClient,
  PeerRequestError,
  type RemoteCluster,
  type RemoteHash,
  type RemoteLease,
  type RemoteMember,
  type RemoteRejoin,
  type RemoteStatus,
  type RemoteVersions,
} from '../ports/peer-client.ts';
import { errors } from '../wire/errors.ts';
import type { SimNetwork } from './network.ts';
import type { Life, SimTime } from './time.ts';

/** The version that simulated members report. */
export const SERVER_VERSION = '3.7.1';
const REFUSED_MS = 1;

/** A member that serves requests of other members. */
export interface ServingPeer {
  readonly id: bigint;
  readonly life: Life;
  readonly service: PeerService;
}

export interface SimPeerClientOptions {
  readonly id: bigint;
  readonly life: Life;
  readonly time: SimTime;
  readonly network: SimNetwork;
  /** Returns the member that listens at one of these URLs. */
  readonly find: (urls: readonly string[]) => ServingPeer | undefined;
}

/** Sends requests to other members over the simulated network. They can be delayed or lost, like raft messages. */
export class SimPeerClient implements PeerClient {
  readonly #options: SimPeerClientOptions;

  constructor(options: SimPeerClientOptions) {
    this.#options = options;
  }

  cluster(urls: readonly string[], timeoutMs: number): Promise<RemoteCluster> {
    return this.#ask(urls, timeoutMs, ({ clusterId, ...service }) => ({
      clusterId,
      members: service.members(),
    }));
  }

  versions(urls: readonly string[], timeoutMs: number): Promise<RemoteVersions> {
    return this.#ask(urls, timeoutMs, (service) => ({ server: SERVER_VERSION, ...service.versions() }));
  }

  /** Simulated members have no status page, and do not serve this request. */
  status(urls: readonly string[], timeoutMs: number): Promise<RemoteStatus | undefined> {
    return this.#ask(urls, timeoutMs, () => undefined);
  }

  downgradeEnabled(urls: readonly string[], timeoutMs: number): Promise<boolean> {
    return this.#ask(urls, timeoutMs, (service) => service.downgradeEnabled());
  }

  promote(
    urls: readonly string[],
    id: bigint,
    token: string | undefined,
    timeoutMs: number,
  ): Promise<readonly RemoteMember[]> {
    return this.#ask(urls, timeoutMs, (service) => service.promote(id, token));
  }

  rejoin(urls: readonly string[], request: RemoteRejoin, timeoutMs: number): Promise<bigint> {
    return this.#ask(urls, timeoutMs, (answers) => answers.rejoin(request.id, request.peerUrls));
  }

  renewLease(urls: readonly string[], lease: bigint, timeoutMs: number): Promise<number> {
    return this.#ask(urls, timeoutMs, async (service) => granted(await service.renewLease(lease)));
  }

  leaseTimeToLive(
    urls: readonly string[],
    lease: bigint,
    withKeys: boolean,
    timeoutMs: number,
  ): Promise<RemoteLease> {
    return this.#ask(urls, timeoutMs, async (service) =>
      granted(await service.leaseTimeToLive(lease, withKeys)),
    );
  }

  hashKv(
    urls: readonly string[],
    clusterId: bigint,
    revision: number,
    timeoutMs: number,
  ): Promise<RemoteHash> {
    return this.#ask(urls, timeoutMs, (service) => {
      if (service.clusterId !== clusterId) throw errors.ClusterIDMismatch;
      return service.hashKv(revision);
    });
  }

  close(): void {
    // Requests end with the process that has sent them.
  }

  #ask<T>(
    urls: readonly string[],
    timeoutMs: number,
    question: (service: PeerService) => T | Promise<T>,
  ): Promise<T> {
    const { id, life, time, network, find } = this.#options;
    return new Promise((resolve, reject) => {
      const settle = (end: () => void) => (): void => {
        if (!life.isOver) end();
      };
      const refuse = (reason: string): (() => void) => settle(() => reject(new PeerRequestError(reason)));
      time.after(timeoutMs, refuse('the other member did not answer in time'));
      const peer = find(urls);
      if (peer === undefined) {
        time.after(REFUSED_MS, refuse('the other member does not listen'));
        return;
      }
      network.travel(id, peer.id, () => {
        if (peer.life.isOver) return;
        const back = (end: () => void): void => {
          if (!peer.life.isOver) network.travel(peer.id, id, settle(end));
        };
        Promise.resolve()
          .then(() => question(peer.service))
          .then(
            (answer) => back(() => resolve(answer)),
            (error: unknown) =>
              back(() => reject(error instanceof Error ? error : new PeerRequestError(String(error)))),
          );
      });
    });
  }
}

function granted<T>(answer: T | string): T {
  if (answer === 'not-found') throw errors.LeaseNotFound;
  if (typeof answer === 'string') throw new PeerRequestError(answer);
  return answer;
}
