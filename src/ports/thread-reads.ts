import type { StoreLoan } from './store-view.ts';

/** A read of one key that a serving thread has answered, or that ended before. */
export interface EndedRead {
  /** Code of gRPC. */
  readonly code: number;
  /** Milliseconds from the complete request to the end. */
  readonly tookMs: number;
  /** Milliseconds that the look-up in the store took; undefined if the store was not read. */
  readonly lookUpMs: number | undefined;
  readonly requestBytes: number;
  /** Undefined if there was no response. */
  readonly responseBytes: number | undefined;
  /** The version that the client's library has sent, or an empty text. */
  readonly clientVersion: string;
}

/** Such a read that took long. All times are milliseconds since its begin. */
export interface SlowRead {
  readonly code: number;
  readonly tookMs: number;
  /** The client's address, `host:port`. */
  readonly peer: string;
  /** The encoded request, as base64. */
  readonly request: string;
  /** Undefined if the store was not read. */
  readonly readAtMs: number | undefined;
  readonly foundAtMs: number;
  readonly count: number;
  readonly revision: number;
  readonly responseBytes: number;
}

/** Exactly one of the two is called, once. */
export interface AgreementWaiter {
  /**
   * The store can be read: it has everything that was acknowledged before the request.
   *
   * @param term the term of raft for the header; undefined if the call needs the core, for example for its permissions
   */
  ready(term: number | undefined): void;
  failed(code: number, message: string): void;
}

/** What serving threads need of the core to read single keys from the store themselves. */
export interface ThreadReads {
  readonly clusterId: bigint;
  readonly memberId: bigint;
  agree(isLinearizable: boolean, waiter: AgreementWaiter): void;
  /** Adds the read to the metrics. */
  ended(read: EndedRead): void;
  /** Logs the read. */
  slow(read: SlowRead): void;
  /** As in `SharedStore`. */
  lend(recall: () => Promise<void>): StoreLoan;
}
