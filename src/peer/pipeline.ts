import { reasonOf } from '../lib/text.ts';
import { Message, MessageType } from '../wire/gen/raftpb.ts';
import { introductionHeaders } from './compatibility.ts';
import type { PeerContext } from './context.ts';
import type { PeerStatus } from './peer-status.ts';
import { checkAnswer, RemovedError } from './post-answer.ts';
import type { RequestAgents } from './request-agents.ts';
import { openRequest } from './request.ts';
import { requestPlace } from './request-place.ts';
import type { UrlPicker } from './url-picker.ts';

/** Maximum number of concurrent requests to one member, and of waiting messages; as in etcd. */
const CONCURRENCY = 4;
const MAX_WAITING = 64;

/** Milliseconds without a byte after which a request fails, so that dead connections do not accumulate. */
const IDLE_TIMEOUT_MS = 5_000;

export interface PipelineOptions {
  readonly context: PeerContext;
  readonly status: PeerStatus;
  readonly picker: UrlPicker;
  readonly agents: RequestAgents;
  readonly failed: (reason: string) => void;
}

/** Posts messages one by one, while there is no stream. */
export class Pipeline {
  readonly #options: PipelineOptions;
  readonly #waiting: Message[] = [];
  readonly #aborts = new Set<() => void>();
  #stopped = false;

  constructor(options: PipelineOptions) {
    this.#options = options;
  }

  /** @returns false if the message is lost */
  push(message: Message): boolean {
    if (this.#stopped) return false;
    if (this.#aborts.size < CONCURRENCY) this.#begin(message);
    else if (this.#waiting.length < MAX_WAITING) this.#waiting.push(message);
    else return false;
    return true;
  }

  stop(): void {
    this.#stopped = true;
    for (const abort of this.#aborts) abort();
  }

  #begin(message: Message): void {
    const { status } = this.#options;
    const bytes = Message.encode(message);
    const { abort, done } = this.#post(bytes);
    this.#aborts.add(abort);
    done
      .then(
        () => {
          status.activate();
          status.sentBytes += bytes.length;
          this.#ended(message, undefined);
        },
        (error: unknown) => this.#ended(message, error),
      )
      .finally(() => {
        this.#aborts.delete(abort);
        const next = this.#stopped ? undefined : this.#waiting.shift();
        if (next !== undefined) this.#begin(next);
      });
  }

  #ended(message: Message, error: unknown): void {
    if (this.#stopped) return;
    const { status, context } = this.#options;
    const isSnapshot = message.type === MessageType.MsgSnap;
    if (error === undefined) {
      if (isSnapshot) context.handler.reportSnapshot(message.to, true);
      return;
    }
    status.sentFailures += 1;
    this.#options.failed(`post a message: ${reasonOf(error)}`);
    if (error instanceof RemovedError) context.handler.onRemoved();
    context.handler.reportUnreachable(message.to);
    if (isSnapshot) context.handler.reportSnapshot(message.to, false);
  }

  #post(bytes: Buffer): { abort: () => void; done: Promise<void> } {
    const { context, picker, agents } = this.#options;
    const picked = picker.pick();
    const request = openRequest(requestPlace(picked, '/raft'), {
      method: 'POST',
      headers: {
        ...introductionHeaders(context.local),
        'Content-Type': 'application/protobuf',
        'Content-Length': String(bytes.length),
      },
      tls: context.tls,
      agents,
      dialTimeoutMs: context.dialTimeoutMs,
      localAddress: context.localAddress,
      idleTimeoutMs: IDLE_TIMEOUT_MS,
    });
    const done = new Promise<void>((resolve, reject) => {
      request.on('error', reject);
      request.on('close', () => reject(new Error('the connection has ended')));
      request.on('response', (response) => {
        checkAnswer(response).then(resolve, reject);
      });
    }).catch((error: unknown) => {
      picker.unreachable(picked);
      throw error;
    });
    request.end(bytes);
    return { abort: () => request.destroy(), done };
  }
}
