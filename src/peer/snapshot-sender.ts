import type { ClientRequest } from 'node:http';
import { hex, reasonOf } from '../lib/text.ts';
import type { OutgoingSnapshot } from '../ports/peer-transport.ts';
import type { Message } from '../wire/gen/raftpb.ts';
import { introductionHeaders } from './compatibility.ts';
import type { PeerContext } from './context.ts';
import { MessageEncoder } from './message-codec.ts';
import type { PeerStatus } from './peer-status.ts';
import { checkAnswer, RemovedError } from './post-answer.ts';
import { openRequest } from './request.ts';
import { type RequestPlace, requestPlace } from './request-place.ts';
import { askForPart, type FilePart, partHeaders } from './snapshot-parts.ts';
import type { UrlPicker } from './url-picker.ts';

/** Milliseconds without a byte after which a transfer fails. */
const IDLE_TIMEOUT_MS = 60_000;

/** Timeout for the other side to save the received file, in milliseconds. A large store takes minutes. */
const SAVE_TIMEOUT_MS = 600_000;

/** Milliseconds of silence after which TCP keepalive probes the connection, to detect a host that is gone. */
const TCP_PROBE_MS = 15_000;

export interface SnapshotSenderOptions {
  readonly context: PeerContext;
  readonly status: PeerStatus;
  readonly picker: UrlPicker;
  readonly failed: (reason: string) => void;
}

interface OutgoingFile extends FilePart {
  readonly chunks: AsyncIterable<Buffer>;
}

/** Posts snapshots: the message, followed by the database file. */
export class SnapshotSender {
  readonly #options: SnapshotSenderOptions;
  readonly #requests = new Set<ClientRequest>();
  #stopped = false;

  constructor(options: SnapshotSenderOptions) {
    this.#options = options;
  }

  send(message: Message, snapshot: OutgoingSnapshot): void {
    const { context, status, picker } = this.#options;
    const startedAt = context.clock.now();
    const picked = picker.pick();
    const fields = {
      'remote-peer-id': hex(message.to),
      'snapshot-index': message.snapshot?.metadata?.index ?? 0,
      bytes: snapshot.totalBytes,
    };
    context.logger.info('sending database snapshot', fields);
    status.snapshotsSending += 1;
    const place = requestPlace(picked, '/raft/snapshot');
    this.#remaining(place, message, snapshot)
      .then((file) => this.#transfer(place, message, file))
      .then(
        () => {
          status.sentBytes += snapshot.totalBytes;
          status.snapshotsSent += 1;
          context.observer?.snapshotSent(message.to, (context.clock.now() - startedAt) / 1000);
          context.logger.info('sent database snapshot', fields);
          if (!this.#stopped) status.activate();
          context.handler.reportSnapshot(message.to, true);
        },
        (error: unknown) => {
          const reason = reasonOf(error);
          context.logger.warn('failed to send database snapshot', { ...fields, error: reason });
          if (error instanceof RemovedError) context.handler.onRemoved();
          picker.unreachable(picked);
          status.sentFailures += 1;
          status.snapshotSendFailures += 1;
          if (!this.#stopped) {
            this.#options.failed(`send a snapshot: ${reason}`);
            context.handler.reportUnreachable(message.to);
          }
          context.handler.reportSnapshot(message.to, false);
        },
      )
      .finally(() => {
        status.snapshotsSending -= 1;
      });
  }

  stop(): void {
    this.#stopped = true;
    for (const request of this.#requests) request.destroy();
  }

  /** The part of the file that the member has not received yet. */
  async #remaining(
    place: RequestPlace,
    message: Message,
    { totalBytes, chunks, resumption }: OutgoingSnapshot,
  ): Promise<OutgoingFile> {
    if (resumption === undefined) return { totalBytes, offset: 0, chunks, id: undefined };
    const { id, isBroken } = resumption;
    const { context } = this.#options;
    const offset = isBroken ? await askForPart(context, place, { id, requests: this.#requests }) : 0;
    if (offset === 0 || offset > totalBytes) return { totalBytes, offset: 0, chunks, id };
    context.logger.info('resuming an interrupted database snapshot', {
      'remote-peer-id': hex(message.to),
      offset,
      bytes: totalBytes,
    });
    return { totalBytes, offset, chunks: await begun(resumption.from(offset)), id };
  }

  async #transfer(place: RequestPlace, message: Message, file: OutgoingFile): Promise<void> {
    const { context } = this.#options;
    const { totalBytes, offset } = file;
    if (this.#stopped) {
      await discard(file);
      throw new Error('the member was removed');
    }
    const head = new MessageEncoder().encode([message], 'bare');
    const request = openRequest(place, {
      method: 'POST',
      headers: {
        ...introductionHeaders(context.local),
        'Content-Type': 'application/octet-stream',
        'Content-Length': String(head.bytes + totalBytes - offset),
        ...partHeaders(file),
      },
      tls: context.tls,
      agents: undefined,
      dialTimeoutMs: context.dialTimeoutMs,
      localAddress: context.localAddress,
      idleTimeoutMs: IDLE_TIMEOUT_MS,
    });
    this.#requests.add(request);
    const answered = new Promise<void>((resolve, reject) => {
      request.on('error', reject);
      request.on('close', () => reject(new Error('the connection has ended')));
      request.on('response', (response) => {
        checkAnswer(response).then(resolve, reject);
      });
    });
    try {
      // The member may refuse it while the file is still sent.
      await Promise.race([answered, writeBody(request, head.parts, file)]);
      await answered;
    } finally {
      this.#requests.delete(request);
      request.destroy();
    }
  }
}

/**
 * Waits for the first chunk before the POST starts. To resume at an offset, the bytes before it are produced and
 * skipped. For a large file that takes longer than a receiver waits for the first byte.
 */
async function begun(chunks: AsyncIterable<Buffer>): Promise<AsyncIterable<Buffer>> {
  const iterator = chunks[Symbol.asyncIterator]();
  return chained(await iterator.next(), iterator);
}

async function* chained(
  first: IteratorResult<Buffer>,
  rest: AsyncIterator<Buffer>,
): AsyncGenerator<Buffer, void> {
  try {
    for (let next = first; next.done !== true; next = await rest.next()) yield next.value;
  } finally {
    await rest.return?.();
  }
}

async function writeBody(
  request: ClientRequest,
  head: readonly Buffer[],
  { totalBytes, offset, chunks }: OutgoingFile,
): Promise<void> {
  for (const part of head) request.write(part);
  let bytes = offset;
  for await (const chunk of chunks) {
    if (request.destroyed) return;
    bytes += chunk.length;
    if (bytes > totalBytes) throw new Error('the snapshot is longer than announced');
    if (!request.write(chunk)) await drained(request);
  }
  if (bytes < totalBytes) throw new Error('the snapshot is shorter than announced');
  request.setTimeout(SAVE_TIMEOUT_MS);
  request.setSocketKeepAlive(true, TCP_PROBE_MS);
  request.end();
}

function drained(request: ClientRequest): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      request.off('drain', done);
      request.off('close', done);
      resolve();
    };
    request.on('drain', done);
    request.on('close', done);
    if (request.destroyed) done();
  });
}

/** Opens and closes a snapshot that has no receiver, so that its source is closed. */
export async function discard({ chunks }: Pick<OutgoingSnapshot, 'chunks'>): Promise<void> {
  const iterator = chunks[Symbol.asyncIterator]();
  await iterator.next();
  await iterator.return?.();
}
