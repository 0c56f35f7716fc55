export interface ReconnectionOptions {
  /** Milliseconds for which the member may leave new connections without an answer. */
  readonly silenceMs: number;
  /** Runs a task once; the function returned takes it back. */
  readonly after: (delayMs: number, task: () => void) => () => void;
  /** The member is most likely gone. Called once for each loss of its connections. */
  readonly gone: () => void;
}

/**
 * Tells a member that is gone from one whose connections were cut. Connections that close say little: a proxy that
 * restarts, or a fault of the network, closes those of a member that is well. It counts as gone once it refuses a new
 * connection, or leaves it without an answer for a while. A member that answers at all is there, whatever it answers.
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
