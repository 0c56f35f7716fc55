import type { StoreLoan } from '../ports/store-view.ts';
import type { SlowRead, ThreadReads } from '../ports/thread-reads.ts';
import type { BatchReader } from './batch.ts';
import type { Link } from './link.ts';
import { ToThread } from './records.ts';
import type { ControlToThread } from './thread-data.ts';

/** The reads that one serving thread answers from the store, on the core's side. */
export class CoreReads {
  readonly #link: Link;
  readonly #reads: ThreadReads;
  #loan: StoreLoan | undefined;
  #onReturned: (() => void) | undefined;

  constructor(link: Link, reads: ThreadReads) {
    this.#link = link;
    this.#reads = reads;
  }

  /** A group of reads waits until the store has everything that was acknowledged before. */
  agree(group: number, isLinearizable: boolean): void {
    const link = this.#link;
    this.#reads.agree(isLinearizable, {
      ready: (term) => {
        if (term === undefined) {
          link.record(ToThread.READ_FORWARD, group);
          return;
        }
        this.#lend();
        link.record(ToThread.READ_NOW, group).f64(term);
      },
      failed: (code, message) => {
        const out = link.record(ToThread.READ_FAILED, group);
        out.u8(code);
        out.text(message);
      },
    });
  }

  ended(reader: BatchReader, clientVersion: string): void {
    const code = reader.u8();
    const tookMs = reader.f64();
    const lookUpMs = reader.f64();
    const requestBytes = reader.u32();
    const responseBytes = reader.f64();
    this.#reads.ended({
      code,
      tookMs,
      lookUpMs: lookUpMs < 0 ? undefined : lookUpMs,
      requestBytes,
      responseBytes: responseBytes < 0 ? undefined : responseBytes,
      clientVersion,
    });
  }

  slow(reader: BatchReader): void {
    this.#reads.slow(JSON.parse(reader.text()) as SlowRead);
  }

  /** The thread has returned the store, or has ended. */
  returned(): void {
    this.#loan?.giveBack();
    this.#loan = undefined;
    this.#onReturned?.();
    this.#onReturned = undefined;
  }

  #lend(): void {
    if (this.#loan !== undefined) return;
    const { clusterId, memberId } = this.#reads;
    this.#loan = this.#reads.lend(() => this.#recall());
    this.#control({ kind: 'store', handle: this.#loan.handle, clusterId, memberId });
  }

  #recall(): Promise<void> {
    if (this.#loan === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onReturned = resolve;
      this.#control({ kind: 'recall' });
    });
  }

  #control(message: ControlToThread): void {
    this.#link.control(message);
  }
}
