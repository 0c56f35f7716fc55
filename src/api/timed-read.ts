import { Status } from '../grpc/status.ts';
import type { UnaryCall } from '../grpc/unary-call.ts';
import type { Durations } from '../server/durations.ts';
import type { Member } from '../server/member.ts';
import { type Detail, SLOW_MS, type Step } from '../server/slow-requests.ts';
import type { RangeRequest } from '../wire/gen/etcdserverpb.ts';

/** The end of waiting for the other members; etcd's name. */
export const AGREED = 'agreement among raft nodes before linearized reading';

/** What a read has found, for the log line about a slow one. */
interface Found {
  /** Number of KeyValues of a range, or of responses of a transaction. */
  readonly count: number;
  readonly revision: number;
}

/** Records how long one read takes and, if it is slow, logs its steps. Times are on the monotonic clock. */
export class TimedRead {
  readonly #member: Member;
  readonly #call: UnaryCall;
  /** Undefined for a transaction. */
  readonly #range: RangeRequest | undefined;
  readonly #isSerializable: boolean;
  readonly #startedMs: number;
  /** 0 for steps that have not ended. */
  #agreedMs = 0;
  #permittedMs = 0;
  #foundMs = 0;
  #found: Found | undefined;

  constructor(
    member: Member,
    call: UnaryCall,
    read: { readonly range?: RangeRequest; readonly isSerializable: boolean },
  ) {
    this.#member = member;
    this.#call = call;
    this.#range = read.range;
    this.#isSerializable = read.isSerializable;
    this.#startedMs = member.clock.now();
    call.onEnded = () => this.#ended();
  }

  /** The user of the call is looked up. Without auth, this takes no time and is not called. */
  agreed(): void {
    this.#agreedMs = this.#member.clock.now();
  }

  /** The keys are read now. */
  permitted(): void {
    this.#permittedMs = this.#member.clock.now();
  }

  /** The keys are found, and the response is made now. @returns milliseconds since `permitted` */
  found(found: Found): number {
    this.#found = found;
    this.#foundMs = this.#member.clock.now();
    return this.#foundMs - this.#permittedMs;
  }

  #ended(): void {
    const { clock, durations } = this.#member;
    const endedMs = clock.now();
    const isDone = this.#call.endCode === Status.OK;
    const tookMs = endedMs - this.#startedMs;
    durations.read(this.#range === undefined ? 'ReadonlyTxn' : 'Range', tookMs / 1000, isDone);
    if (tookMs <= SLOW_MS) return;
    reportSlowRead(durations, {
      range: this.#range,
      isSerializable: this.#isSerializable,
      found: this.#found,
      startedMs: this.#startedMs,
      agreedMs: this.#agreedMs,
      permittedMs: this.#permittedMs,
      foundMs: this.#foundMs,
      endedMs,
    });
  }
}

/** An ended read with its steps, in milliseconds on the monotonic clock. 0 is for steps that have not ended. */
export interface ReadSteps {
  /** Undefined for a transaction. */
  readonly range: Pick<RangeRequest, 'key' | 'rangeEnd'> | undefined;
  readonly isSerializable: boolean;
  readonly found: Found | undefined;
  readonly startedMs: number;
  readonly agreedMs: number;
  readonly permittedMs: number;
  readonly foundMs: number;
  readonly endedMs: number;
}

export function reportSlowRead({ slowRequests }: Durations, read: ReadSteps): void {
  const { range, startedMs, endedMs } = read;
  slowRequests.report({
    operation: range === undefined ? 'transaction' : 'range',
    detail: [...asked(read), ...result(read)],
    startedMs,
    endedMs,
    steps: stepsOf(read),
  });
}

function asked({ range }: ReadSteps): Detail {
  if (range === undefined) return [['read_only', true]];
  return [
    ['range_begin', range.key],
    ['range_end', range.rangeEnd],
  ];
}

function result({ range, found }: ReadSteps): Detail {
  if (found === undefined) return [];
  return [
    [range === undefined ? 'number_of_response' : 'response_count', found.count],
    ['response_revision', found.revision],
  ];
}

/** A step that has not ended lasts until the end of the read. */
function stepsOf({ isSerializable, endedMs, ...read }: ReadSteps): Step[] {
  const permittedMs = read.permittedMs || endedMs;
  const agreedMs = read.agreedMs || permittedMs;
  const steps: Step[] = isSerializable ? [] : [[AGREED, agreedMs]];
  steps.push(['get authentication metadata', permittedMs]);
  if (read.permittedMs === 0) return steps;
  steps.push(['range keys from the store', read.foundMs || endedMs]);
  if (read.foundMs > 0) steps.push(['assemble the response', endedMs]);
  return steps;
}
