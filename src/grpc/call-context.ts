import type { StreamConnection } from '../http2/stream.ts';
import type { DeadlineWheel } from './deadline-wheel.ts';
import type { MessageCounters } from './method-stats.ts';
import type { SlowCalls } from './slow-calls.ts';
import type { Session } from './session.ts';

/** What all calls of a server share. */
export interface CallContext {
  readonly wheel: DeadlineWheel;
  readonly counters: MessageCounters;
  /** Longest request message, in bytes, before and after decompression. */
  readonly maxReceiveBytes: number;
  readonly slowCalls: SlowCalls | undefined;
  /** Monotonic milliseconds. */
  now(): number;
  /** Undefined for a call made inside the process. */
  sessionOf(connection: StreamConnection | undefined): Session;
}
