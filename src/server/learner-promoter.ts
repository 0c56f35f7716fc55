import { hex, reasonOf } from '../lib/text.ts';
import type { Logger } from '../ports/logger.ts';
import { errors } from '../wire/errors.ts';
import type { Member } from './member.ts';
import type { Memberships, Reachability } from './memberships.ts';

const CHECK_MS = 1_000;

export interface LearnerPromoterOptions {
  readonly member: Member;
  readonly memberships: Pick<Memberships, 'promoteHere'>;
  readonly peers: Reachability;
  /** Whether a learner may be promoted. */
  readonly promotes: (id: bigint) => boolean;
  readonly logger: Logger;
}

/**
 * As leader, promotes learners that have caught up, like `member promote`. A learner that is not connected is not
 * promoted: as a voter it would only raise the quorum.
 */
export class LearnerPromoter {
  readonly #options: LearnerPromoterOptions;
  readonly #stopChecks: () => void;
  /** The last logged refusal, so that the same one is not logged again and again. */
  #lastRefusal = '';
  #isBusy = false;

  constructor(options: LearnerPromoterOptions) {
    this.#options = options;
    this.#stopChecks = options.member.scheduler.every(CHECK_MS, () => this.#check());
  }

  stop(): void {
    this.#stopChecks();
  }

  #check(): void {
    if (this.#isBusy) return;
    const ready = this.#connectedLearners();
    if (ready.length === 0) return;
    this.#isBusy = true;
    this.#promote(ready).then(
      () => (this.#isBusy = false),
      () => (this.#isBusy = false),
    );
  }

  #connectedLearners(): bigint[] {
    const { member, peers, promotes } = this.#options;
    if (!member.isLeader) return [];
    const learners = member.cluster.members().filter(({ id, isLearner }) => isLearner && promotes(id));
    if (learners.length === 0) return [];
    const { progress } = member.consensus.status();
    return learners
      .map(({ id }) => id)
      .filter((id) => progress.get(id)?.recentActive === true && peers.activeSince(id) !== undefined);
  }

  async #promote(learners: readonly bigint[]): Promise<void> {
    const { memberships, logger } = this.#options;
    for (const id of learners) {
      const fields = { 'learner-id': hex(id) };
      try {
        await memberships.promoteHere(id);
        this.#lastRefusal = '';
        logger.info('promoted a learner that has caught up', fields);
      } catch (error) {
        const reason = reasonOf(error);
        if (error === errors.LearnerNotReady || reason === this.#lastRefusal) continue;
        this.#lastRefusal = reason;
        logger.warn('cannot promote a learner', { ...fields, error: reason });
      }
    }
  }
}
