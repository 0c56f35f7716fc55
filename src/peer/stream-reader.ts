import type { ClientRequest, IncomingMessage } from 'node:http';
import { hex } from '../lib/text.ts';
import type { Message } from '../wire/gen/raftpb.ts';
import { WireError } from '../wire/wire-error.ts';
import { hasStreams, header, introductionHeaders, Refusal } from './compatibility.ts';
import { HEARTBEAT_HEADER, type PeerContext } from './context.ts';
import type { PeerStatus } from './peer-status.ts';
import { IdleTimeoutError, openRequest, readBody } from './request.ts';
import { requestPlace } from './request-place.ts';
import { type StreamDecoder, streamDecoder, StreamKind } from './stream-codec.ts';
import type { StreamEnd } from './stream-end.ts';
import { StreamFormatError } from './stream-error.ts';
import type { UrlPicker } from './url-picker.ts';

/** Milliseconds between two attempts to connect. A stream that lasted longer is reopened at once. */
const RETRY_INTERVAL_MS = 100;
const MIN_RETRY_INTERVAL_MS = 10;

/** Number of missed heartbeats after which a stream is closed, and the shortest accepted interval. */
const MISSED_HEARTBEATS = 4;
const MIN_HEARTBEAT_MS = 100;

/**
 * While the log is behind, the stream rests for some of these intervals and then reads one more chunk. So it is never
 * closed for silence, also if the disk hangs.
 */
const REST_MS = 5;
const MAX_RESTS = 40;

/** Enough for the text of any refusal. */
const MAX_ANSWER_BYTES = 64 * 1024;

export interface StreamReaderOptions {
  readonly kind: StreamKind;
  readonly context: PeerContext;
  readonly status: PeerStatus;
  readonly picker: UrlPicker;
  /** @returns why a message was refused; the stream ends then */
  readonly received: (messages: readonly Message[]) => string | undefined;
  readonly opened: () => void;
  readonly ended: (end: StreamEnd) => void;
}

/** Receives one kind of stream from a member. It requests the stream, and again whenever it ends, until stopped. */
export class StreamReader {
  readonly #options: StreamReaderOptions;
  #request: ClientRequest | undefined;
  #isOpen = false;
  #attemptAt = 0;
  #retry: NodeJS.Timeout | undefined;
  #rest: NodeJS.Timeout | undefined;
  #stopped = false;
  /** The last reason logged, so that an unreachable member does not fill the log. */
  #lastFailure = '';

  constructor(options: StreamReaderOptions) {
    this.#options = options;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  start(): void {
    this.#dial();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#retry);
    clearTimeout(this.#rest);
    this.#request?.destroy();
  }

  /** Connects at once if the next attempt is being waited for. */
  retryNow(): void {
    const { clock } = this.#options.context;
    if (this.#stopped || this.#request !== undefined) return;
    if (clock.now() - this.#attemptAt < MIN_RETRY_INTERVAL_MS) return;
    clearTimeout(this.#retry);
    this.#dial();
  }

  #dial(): void {
    const { kind, context, status, picker } = this.#options;
    const { local } = context;
    this.#attemptAt = context.clock.now();
    const picked = picker.pick();
    const place = requestPlace(picked, `/raft/stream/${kind}/${hex(local.localId)}`);
    const request = openRequest(place, {
      method: 'GET',
      headers: { ...introductionHeaders(local), 'X-Raft-To': hex(status.id) },
      tls: context.tls,
      agents: undefined,
      dialTimeoutMs: context.dialTimeoutMs,
      localAddress: context.localAddress,
      idleTimeoutMs: context.readTimeoutMs,
    });
    this.#request = request;
    const ended = (reason: string, cause: StreamEnd['cause']): void => {
      this.#ended(request, picked, { wasOpen: this.#isOpen, cause, reason });
    };
    let isRefused = false;
    request.on('response', (response) => {
      if (response.statusCode === 200 && hasStreams(response.headers)) {
        this.#read(request, response);
        response.on('error', (error) => ended(error.message, 'closed-by-remote'));
        response.on('close', () => ended('closed by the peer', 'closed-by-remote'));
        return;
      }
      isRefused = true;
      this.#refused(response).then(
        (reason) => ended(reason, 'answered'),
        (error: unknown) => ended(String(error), 'answered'),
      );
    });
    request.on('error', (error) => {
      if (!isRefused) ended(error.message, causeOf(error, this.#isOpen));
    });
    request.on('close', () => {
      if (!isRefused) ended('closed', this.#isOpen ? 'closed-by-remote' : 'refused');
    });
    request.end();
  }

  #read(request: ClientRequest, response: IncomingMessage): void {
    const { kind, context, status } = this.#options;
    this.#isOpen = true;
    this.#lastFailure = '';
    context.logger.info('opened stream from peer', this.#fields());
    this.#options.opened();
    boundSilence(request, response, context.readTimeoutMs);
    const decoder = streamDecoder(kind, { local: context.local.localId, remote: status.id });
    response.on('data', (bytes: Buffer) => {
      // One read of the socket may bring several chunks, also after a fault in the first.
      if (this.#stopped || request.destroyed) return;
      status.receivedBytes += bytes.length;
      const failure = this.#decode(decoder, bytes);
      if (failure !== undefined) request.destroy(failure);
      else if (kind === StreamKind.Append && context.handler.isLogBehind()) this.#pause(response, MAX_RESTS);
    });
  }

  /** Leaves further bytes in the buffers of the connection until the log has caught up. */
  #pause(response: IncomingMessage, rests: number): void {
    response.pause();
    clearTimeout(this.#rest);
    this.#rest = setTimeout(() => {
      if (rests > 1 && this.#options.context.handler.isLogBehind()) this.#pause(response, rests - 1);
      else response.resume();
    }, REST_MS);
  }

  #decode(decoder: StreamDecoder, bytes: Buffer): Error | undefined {
    const messages: Message[] = [];
    let failure: Error | undefined;
    try {
      decoder.decode(bytes, messages);
    } catch (error) {
      this.#options.status.receivedFailures += 1;
      failure = error instanceof Error ? error : new Error(String(error));
    }
    const refusal = messages.length > 0 ? this.#options.received(messages) : undefined;
    if (refusal === undefined) return failure;
    this.#options.status.receivedFailures += 1;
    return new StreamFormatError(refusal);
  }

  /** Why the member refuses the stream. */
  async #refused(response: IncomingMessage): Promise<string> {
    const { handler, local } = this.#options.context;
    if (response.statusCode === 200) {
      response.destroy();
      return 'the peer has no such stream';
    }
    const text = (await readBody(response, MAX_ANSWER_BYTES)).toString().trimEnd();
    switch (response.statusCode) {
      case 410:
        handler.onRemoved();
        return 'this member has been removed from the cluster';
      case 404:
        return `the peer does not know member ${hex(local.localId)} yet`;
      case 412:
        if (text === Refusal.Version) return 'the peer refuses this version';
        return text === Refusal.Cluster
          ? 'the peer belongs to another cluster'
          : `the peer responded: ${text}`;
      default:
        return `unexpected status ${response.statusCode ?? 0}`;
    }
  }

  #ended(request: ClientRequest, url: string, end: StreamEnd): void {
    if (this.#request !== request) return;
    this.#request = undefined;
    this.#isOpen = false;
    clearTimeout(this.#rest);
    request.destroy();
    if (this.#stopped) return;
    const { picker, context } = this.#options;
    if (!end.wasOpen) picker.unreachable(url);
    if (end.reason !== this.#lastFailure)
      context.logger.warn('no stream from peer', this.#fields(end.reason));
    this.#lastFailure = end.reason;
    const waitMs = this.#attemptAt + RETRY_INTERVAL_MS - context.clock.now();
    this.#retry = setTimeout(() => this.#dial(), Math.max(0, waitMs));
    this.#options.ended(end);
  }

  #fields(error?: string): Record<string, string> {
    const { kind, context, status } = this.#options;
    return {
      'stream-type': kind,
      'local-member-id': hex(context.local.localId),
      'remote-peer-id': hex(status.id),
      ...(error === undefined ? {} : { error }),
    };
  }
}

/** A member that reports its heartbeat interval gets a shorter timeout than a member of etcd. */
function boundSilence(request: ClientRequest, response: IncomingMessage, readTimeoutMs: number): void {
  const intervalMs = Number(header(response.headers, HEARTBEAT_HEADER));
  if (!(intervalMs >= MIN_HEARTBEAT_MS)) return;
  request.socket?.setTimeout(Math.min(readTimeoutMs, MISSED_HEARTBEATS * intervalMs));
}

/** Errors of a closed port, a missing socket file, or a connection that ends before any response. */
const REFUSALS: ReadonlySet<unknown> = new Set(['ECONNREFUSED', 'ECONNRESET', 'ENOENT', 'EPIPE']);

function causeOf(error: Error, wasOpen: boolean): StreamEnd['cause'] {
  if (error instanceof IdleTimeoutError) return 'silence';
  if (error instanceof StreamFormatError || error instanceof WireError) return 'other';
  if (wasOpen) return 'closed-by-remote';
  return 'code' in error && REFUSALS.has(error.code) ? 'refused' : 'other';
}
