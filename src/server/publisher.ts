import { isError } from '../apply/results.ts';
import { urlTexts } from '../config/urls.ts';
import type { Logger } from '../ports/logger.ts';
import { ClusterMemberAttrSetRequest } from '../wire/gen/membershippb.ts';
import type { Member } from './member.ts';
import { RaftRequestField } from './raft-request.ts';

const RETRY_MS = 500;

/** Publishes this member's name and client URLs to the cluster. Waits for a leader and retries until it succeeds. */
export class Publisher {
  readonly #member: Member;
  readonly #logger: Logger;
  readonly #name: string;
  readonly #clientUrls: string[];
  readonly #stopWaiting: () => void;
  #cancelRetry: () => void = () => undefined;
  #waiting: (() => void)[] = [];
  #state: 'waiting' | 'publishing' | 'done' | 'stopped' = 'waiting';

  constructor(member: Member, logger: Logger) {
    this.#member = member;
    this.#logger = logger;
    this.#name = member.config.name;
    this.#clientUrls = urlTexts(member.config.advertiseClientUrls);
    // Not within the raft turn that reported the leader.
    const begin = (): void => member.scheduler.soon(() => this.#publish());
    this.#stopWaiting = member.onLeadership(begin);
    member.onInstalled(() => this.#checkInstalled());
    begin();
  }

  /** Calls back when this member is published. */
  whenPublished(done: () => void): void {
    if (this.#state === 'done') done();
    else this.#waiting.push(done);
  }

  stop(): void {
    this.#state = 'stopped';
    this.#stopWaiting();
    this.#cancelRetry();
  }

  #publish(): void {
    if (this.#state !== 'waiting' || !this.#member.isServing) return;
    this.#state = 'publishing';
    const { memberId } = this.#member.identity;
    const memberAttributes = { name: this.#name, clientUrls: this.#clientUrls };
    const body = ClusterMemberAttrSetRequest.encode({ memberId, memberAttributes });
    this.#member.propose(RaftRequestField.clusterMemberAttrSet, body, undefined, {
      settled: (result) => {
        if (isError(result)) this.#retry(result);
        else this.#done();
      },
      failed: (error) => this.#retry(error),
    });
  }

  /**
   * A snapshot may contain the entry that this member waits for. The entry is then never applied here, and the proposal
   * would time out.
   */
  #checkInstalled(): void {
    const { cluster, identity } = this.#member;
    const known = cluster.member(identity.memberId);
    if (known?.name === this.#name && known.clientUrls.join() === this.#clientUrls.join()) this.#done();
  }

  #retry(error: Error): void {
    if (this.#state !== 'publishing') return;
    this.#logger.warn('failed to publish local member to cluster through raft', { error: error.message });
    this.#state = 'waiting';
    this.#cancelRetry = this.#member.scheduler.after(RETRY_MS, () => this.#publish());
  }

  #done(): void {
    if (this.#state !== 'publishing') return;
    this.#state = 'done';
    this.#logger.info('published local member to cluster through raft', {
      'local-member-id': this.#member.memberIdText,
      'local-member-attributes': { Name: this.#name, ClientURLs: this.#clientUrls },
    });
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const done of waiting) done();
  }
}
