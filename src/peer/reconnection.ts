export interface ReconnectionOptions {
  /** Milliseconds for which the member may leave new connections without an answer. */
  readonly silenceMs: number;
  /** Runs a task once; the function returned takes it back. */
  readonly after: (delayMs: number, task: () => void) => () => void;
  /** The member is most likely gone. Called once for each loss of its connections. */
  readonly gone: () => void;
}

/**
 * Distinguishes a member that is gone from one whose connections were cut. A closed connection alone is no proof: a
 * restarted proxy or a network fault also closes connections of a healthy member. A member counts as gone when it refuses
 * a new connection or does not answer it for a while. With any response, the member counts as alive.
 */
export class Reconnection {
  readonly #options: ReconnectionOptions;
  #isLost = false;
  /** The last attempt to connect was refused. */
  #isRefused = false;
  #cancel: (() => void) | undefined;

  constructor(options: ReconnectionOptions) {
    this.#options = options;
  }

  /** The last connection was closed by the other side. */
  closed(): void {
    if (this.#isLost) return;
    this.#isLost = true;
    // Of several connections one may have been tried again before the last one was seen to close.
    if (this.#isRefused) this.#end();
    else this.#cancel = this.#options.after(this.#options.silenceMs, () => this.#end());
  }

  /** Nobody takes connections where the member should be. */
  refused(): void {
    this.#isRefused = true;
    if (this.#cancel !== undefined) this.#end();
  }

  /** A connection works again, or was at least answered. */
  answered(): void {
    this.stop();
    this.#isLost = false;
    this.#isRefused = false;
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #end(): void {
    this.stop();
    this.#options.gone();
  }
}
