import type { Scheduler } from '../ports/scheduler.ts';
import { type Message, MessageType } from '../raft/types.ts';

/** A commit index waits at most this long for the next append. */
const HOLD_MS = 2;
/** With fewer entries in a commit the load is low, and no append may follow soon. */
const BUSY_ENTRIES = 8;
/** A member that forwarded a proposal within this time has a client that waits for the commit index. */
const FORWARDED_RECENTLY_MS = 200;

export interface HeldCommitsOptions {
  readonly scheduler: Scheduler;
  readonly now: () => number;
  readonly send: (messages: readonly Message[]) => void;
}

/**
 * Delays appends that contain only a newer commit index. Under load, the next append with entries follows within a
 * millisecond and contains the commit index too. Waking each follower twice per batch would cost more than the entries
 * themselves. For raft, a delayed message is just a slow one.
 */
export class HeldCommits {
  readonly #options: HeldCommitsOptions;
  readonly #held = new Map<bigint, Message>();
  /** The last commit index sent, by receiver. */
  readonly #sent = new Map<bigint, number>();
  readonly #forwarded = new Map<bigint, number>();
  #isWaiting = false;
  readonly #release = (): void => {
    this.#isWaiting = false;
    if (this.#held.size === 0) return;
    const messages = [...this.#held.values()];
    this.#held.clear();
    for (const { to, commit } of messages) this.#sent.set(to, commit);
    this.#options.send(messages);
  };

  constructor(options: HeldCommitsOptions) {
    this.#options = options;
  }

  /** Called when a member has forwarded a proposal. */
  forwarded(from: bigint): void {
    this.#forwarded.set(from, this.#options.now());
  }

  /** Takes each outgoing message in order. @returns whether the message is held back for now */
  hold(message: Message): boolean {
    if (message.type !== MessageType.MsgApp) return false;
    const { to, commit, entries } = message;
    if (entries.length > 0 || !this.#isBusy(message)) {
      this.#held.delete(to);
      this.#sent.set(to, commit);
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
    if (commit - (this.#sent.get(to) ?? 0) < BUSY_ENTRIES) return false;
    const forwardedAt = this.#forwarded.get(to);
    return forwardedAt === undefined || this.#options.now() - forwardedAt > FORWARDED_RECENTLY_MS;
  }
}
