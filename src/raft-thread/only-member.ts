import type { ConfState } from '../raft/types.ts';

/**
 * Whether linearizable reads need no agreement, because this is the only member of the cluster. Then every write was
 * answered by this process, after it was applied to this store.
 *
 * That holds only after one ReadIndex: entries of an earlier process, or those that a removed member has applied, may
 * not be applied here yet. It is asked for again after each change of the configuration or of the leadership.
 */
export class OnlyMember {
  readonly #id: bigint;
  #isOnly = false;
  /** The context of the ReadIndex that is to prove it. */
  #asked: string | undefined;
  /** What must be applied. */
  #index: number | undefined;

  constructor(id: bigint) {
    this.#id = id;
  }

  /** The configuration or the leadership has changed. */
  changed({ voters, learners, votersOutgoing, learnersNext }: ConfState): void {
    this.#isOnly =
      voters.length === 1 &&
      voters[0] === this.#id &&
      learners.length + votersOutgoing.length + learnersNext.length === 0;
    this.#asked = undefined;
    this.#index = undefined;
  }

  /** A ReadIndex follows the latest change. */
  asked(context: Buffer): void {
    if (this.#isOnly && this.#index === undefined) this.#asked = context.toString('latin1');
  }

  confirmed(context: Buffer, index: number): void {
    if (this.#asked !== undefined && context.toString('latin1') === this.#asked) this.#index ??= index;
  }

  isSure(applied: number): boolean {
    return this.#index !== undefined && this.#index <= applied;
  }
}
