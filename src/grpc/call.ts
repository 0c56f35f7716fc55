import type { HeaderField } from '../http2/header-field.ts';
import type { WheelEntry } from './deadline-wheel.ts';
import { Metadata } from './metadata.ts';
import type { MethodStats } from './method-stats.ts';
import { headersBlock, trailersBlock, trailersOnlyBlock } from './response-blocks.ts';
import type { CallContext } from './call-context.ts';
import type { CallObserver } from './call-observer.ts';
import type { CallTrace } from './call-trace.ts';
import type { CallStream } from './call-stream.ts';
import type { ReceiveClaim } from './receive-budget.ts';
import type { Session } from './session.ts';
import { Status } from './status.ts';

/** Why a call ended before the handler ended it. */
export type CancelReason = 'deadline' | 'reset' | 'fault';

/** The request headers that a call needs. */
export interface CallHead {
  readonly contentType: string;
  /** Milliseconds from now, or -1 for none. */
  readonly timeoutMs: number;
  readonly gzip: boolean;
}

/** The common part of unary and streaming calls: request headers, deadline and end. */
export abstract class Call implements WheelEntry {
  readonly stats: MethodStats;
  /** The gRPC status of the ended call. */
  endCode: number | undefined;
  /** Whether the call has ended: by the handler, by the client or by the deadline. No response can be sent any more. */
  ended = false;
  /** Called at most once, when the call ends without the handler having ended it. */
  onCancel: ((reason: CancelReason) => void) | undefined;
  /** Called once, however the call ends, before `onCancel`. */
  onEnded: (() => void) | undefined;

  /** Observes the call, if the server has a watcher. */
  observer: CallObserver | undefined;
  /** Set if the call is traced. */
  trace: CallTrace | undefined;

  wheelNext: WheelEntry | undefined;
  wheelPrevious: WheelEntry | undefined;
  wheelSlot = -1;
  /** When the call expires, on the monotonic clock in milliseconds; Infinity if never. */
  deadlineAt = Infinity;

  /** Memory reserved for incoming messages. Most calls need none. */
  #claims: ReceiveClaim[] | undefined;
  protected readonly stream: CallStream;
  protected readonly context: CallContext;
  protected readonly contentType: string;
  /** Whether the client compresses. Responses are then compressed too. */
  protected readonly gzip: boolean;
  readonly #fields: readonly HeaderField[];
  /** On the monotonic clock in milliseconds; read only if durations are recorded. */
  readonly #startedAt: number;
  #metadata: Metadata | undefined;

  /** @param fields must not change afterwards */
  constructor(
    stream: CallStream,
    context: CallContext,
    stats: MethodStats,
    fields: readonly HeaderField[],
    head: CallHead,
  ) {
    this.stream = stream;
    this.context = context;
    this.stats = stats;
    this.#fields = fields;
    this.contentType = head.contentType;
    this.gzip = head.gzip;
    stats.started++;
    this.#startedAt = stats.durations === undefined ? 0 : context.now();
    if (head.timeoutMs >= 0) context.wheel.add(this, context.now() + head.timeoutMs);
  }

  get metadata(): Metadata {
    this.#metadata ??= new Metadata(this.#fields);
    return this.#metadata;
  }

  /** The client's connection. */
  get session(): Session {
    return this.context.sessionOf(this.stream.connection);
  }

  /** The client's address, `host:port`; empty for a unix socket. */
  get peer(): string {
    return this.session.remoteAddress;
  }

  /** The value of the request's `:authority`. */
  get authority(): string {
    return this.stream.authority;
  }

  /** Ends the call with an error. */
  fail(code: number, message: string): void {
    this.endWith(code, message);
  }

  /** The deadline has passed: the client gets DEADLINE_EXCEEDED, unless it has disconnected. */
  onDeadline(): void {
    if (this.ended) return;
    this.endWith(Status.DEADLINE_EXCEEDED, 'context deadline exceeded');
    this.onCancel?.('deadline');
  }

  /** The client reset the stream, or its connection is closed. */
  onReset(): void {
    this.endedAs(Status.CANCELLED, 'reset');
  }

  /** The call was ended with this code, and nothing is sent to the client. */
  endedAs(code: number, reason: CancelReason): void {
    if (this.ended) return;
    this.finish(code);
    this.onCancel?.(reason);
  }

  /** Ends the call for an error found while reading the request. */
  protected fault(code: number, message: string): void {
    if (this.ended) return;
    this.endWith(code, message);
    this.onCancel?.('fault');
  }

  protected endWith(code: number, message: string): void {
    if (this.ended) return;
    this.trace?.ended(code, message);
    this.finish(code);
    this.sendEnd(code, message);
  }

  /** Sends the status to the client. */
  protected sendEnd(code: number, message: string): void {
    if (this.stream.headersSent || code === Status.OK) {
      if (!this.stream.headersSent) this.sendHeaders();
      this.stream.end(trailersBlock(code, message));
    } else {
      this.stream.sendHeadersOnly(trailersOnlyBlock({ code, message }, { contentType: this.contentType }));
    }
  }

  protected sendHeaders(): void {
    this.stream.sendHeaders(headersBlock({ contentType: this.contentType, gzip: this.gzip }));
  }

  /**
   * Reserves memory and window for a message of `length` bytes, including the prefix, if it exceeds the usual window.
   */
  protected makeRoom(length: number): ReceiveClaim | undefined {
    const missing = length - this.stream.receiveWindow;
    if (missing <= 0) return undefined;
    const { stream } = this;
    return this.claimRoom(missing, () => stream.grant(missing));
  }

  /** Reserves `bytes` of the connection's budget until released or the call ends. `onGrant` may be called at once. */
  protected claimRoom(bytes: number, onGrant: () => void): ReceiveClaim {
    const claim: ReceiveClaim = { bytes, granted: false, onGrant };
    this.#claims ??= [];
    this.#claims.push(claim);
    this.session.receiveBudget.claim(claim);
    return claim;
  }

  protected releaseRoom(claim: ReceiveClaim): void {
    const at = this.#claims?.indexOf(claim) ?? -1;
    if (at < 0) return;
    this.#claims?.splice(at, 1);
    this.session.receiveBudget.release(claim);
  }

  /** Removes the call from the deadline wheel and counts its result. */
  protected finish(code: number): void {
    this.ended = true;
    this.endCode = code;
    if (this.wheelSlot >= 0) this.context.wheel.remove(this);
    this.stats.countHandled(code);
    this.stats.durations?.observe((this.context.now() - this.#startedAt) / 1000);
    this.observer?.ended(code);
    this.trace?.ended(code, '');
    if (this.#claims !== undefined) this.#releaseAll(this.#claims);
    this.onEnded?.();
  }

  #releaseAll(claims: ReceiveClaim[]): void {
    this.#claims = undefined;
    for (const claim of claims) this.session.receiveBudget.release(claim);
  }
}
