import type { Scheduler } from '../ports/scheduler.ts';
import { type Message, MessageType } from '../raft/types.ts';

/** A commit index waits this long for an append to travel with. */
const HOLD_MS = 2;
/** Fewer entries than this in a commit: the cluster is quiet, and nothing may follow soon. */
const BUSY_ENTRIES = 8;
/** A member that forwarded a proposal within this time has a client that waits for the commit index. */
const FORWARDED_RECENTLY_MS = 200;

export interface HeldCommitsOptions {
  readonly scheduler: Scheduler;
  readonly now: () => number;
  readonly send: (messages: readonly Message[]) => void;
}

/**
 * Under load, an append that carries nothing but a newer commit index is followed within a millisecond by one with
 * entries, which carries it too. Waking each follower twice a batch costs more than the entries do, so the first one
 * is held back for the second. To raft it is a message that took longer.
 */
export class HeldCommits {
  readonly #options: HeldCommitsOptions;
  readonly #held = new Map<bigint, Message>();
  readonly #told = new Map<bigint, number>();
  readonly #forwarded = new Map<bigint, number>();
  #isWaiting = false;
  readonly #release = (): void => {
    this.#isWaiting = false;
    if (this.#held.size === 0) return;
    const messages = [...this.#held.values()];
    this.#held.clear();
    for (const { to, commit } of messages) this.#told.set(to, commit);
    this.#options.send(messages);
  };

  constructor(options: HeldCommitsOptions) {
    this.#options = options;
  }

  /** A proposal came from this member. */
  forwarded(from: bigint): void {
    this.#forwarded.set(from, this.#options.now());
  }

  /** Whether the message, the next one to its member, is held back for now. */
  hold(message: Message): boolean {
    if (message.type !== MessageType.MsgApp) return false;
    const { to, commit, entries } = message;
    if (entries.length > 0 || !this.#isBusy(message)) {
      this.#held.delete(to);
      this.#told.set(to, commit);
      return false;
    }
    this.#held.set(to, message);
    if (!this.#isWaiting) {
      this.#isWaiting = true;
      this.#options.scheduler.after(HOLD_MS, this.#release);
    }
    return true;
  }

  #isBusy({ to, commit }: Message): boolean {
    if (commit - (this.#told.get(to) ?? 0) < BUSY_ENTRIES) return false;
    const forwardedAt = this.#forwarded.get(to);
    return forwardedAt === undefined || this.#options.now() - forwardedAt > FORWARDED_RECENTLY_MS;
  }
}
