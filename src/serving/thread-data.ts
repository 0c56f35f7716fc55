import type { ForwardedLine } from '../threads/forwarded-log.ts';
import type { ServedMethod } from './core-calls.ts';

/** What a serving thread gets at its start. */
export interface ServingThreadData<Config> {
  readonly config: Config;
  readonly methods: readonly ServedMethod[];
  /** Number of the thread, from 0, and the number of threads. */
  readonly thread: number;
  readonly threads: number;
  /** See `SharedHeldBytes`. The first cells are those of the core. */
  readonly heldBytes: Float64Array;
  /** Open connections of each address. */
  readonly connections: Int32Array;
  /** Set if the thread may read single keys itself: reads that take longer, in milliseconds, are reported. */
  readonly slowReadMs: number | undefined;
}

/** Messages to a serving thread beside the records of calls. */
export type ControlToThread =
  | { readonly kind: 'listen' }
  /** Reads can be answered from this store; see `PointReader`. */
  | {
      readonly kind: 'store';
      readonly handle: bigint;
      readonly clusterId: bigint;
      readonly memberId: bigint;
    }
  /** The store will be closed. The thread answers with `returned`. */
  | { readonly kind: 'recall' }
  /** Ends all calls within `graceMs`. */
  | { readonly kind: 'stop'; readonly graceMs: number };

/** Calls that ended before they were complete enough to be forwarded, since the last such message. */
export type EndedCalls = readonly (readonly [method: number, code: number, count: number])[];

/** Messages of a serving thread beside the records of calls. */
export type ControlToCore =
  | { readonly kind: 'listening' }
  | {
      readonly kind: 'failed';
      readonly message: string;
      readonly syscall: string | undefined;
    }
  | { readonly kind: 'stopped' }
  /** The thread no longer uses the store. */
  | { readonly kind: 'returned' }
  | { readonly kind: 'ended'; readonly calls: EndedCalls }
  | ForwardedLine;
