import type { IncomingMessage, ServerResponse } from 'node:http';
import { hex, reasonOf } from '../lib/text.ts';
import type { SnapshotPart } from '../ports/peer-transport.ts';
import { type Message, MessageType } from '../wire/gen/raftpb.ts';
import type { PeerContext } from './context.ts';
import { MessageDecoder } from './message-codec.ts';
import type { PeerStatus } from './peer-status.ts';
import { messageRefusal } from './message-refusal.ts';
import { replyError } from './reply.ts';
import { StreamFormatError } from './stream-error.ts';

/** Maximum size of the message before the file: metadata and the members. The file itself may have any length. */
const MAX_HEAD_BYTES = 64 * 1024 * 1024;

/** Milliseconds without a byte after which the transfer fails. */
const IDLE_TIMEOUT_MS = 30_000;

export interface SnapshotRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Status of the sender, if known. */
  readonly status: PeerStatus | undefined;
  readonly part: SnapshotPart;
}

/**
 * Receives a posted snapshot: its message, and then the database file, which is passed to the handler as it arrives.
 */
export async function receiveSnapshot(context: PeerContext, snapshot: SnapshotRequest): Promise<void> {
  const { request, response, status, part } = snapshot;
  const startedAt = context.clock.now();
  // Saving it may take longer than the timeout of silent connections.
  request.socket.setTimeout(0);
  const bytes = withIdleTimeout(request);
  const head = await readHead(bytes, status);
  if (typeof head === 'string') {
    fail(status);
    replyError(response, 400, head);
    return;
  }
  const { message, rest } = head;
  const refusal = messageRefusal(context, message);
  if (refusal !== undefined) {
    fail(status);
    response.setHeader('Connection', 'close');
    replyError(response, 500, `failed to process raft message (${refusal})`);
    return;
  }
  const fields = {
    'remote-snapshot-sender-id': hex(message.from),
    'incoming-snapshot-index': message.snapshot?.metadata?.index ?? 0,
    ...(part.offset === 0 ? {} : { 'from-byte': part.offset }),
  };
  context.logger.info('receiving database snapshot', fields);
  if (status !== undefined) status.snapshotsReceiving += 1;
  try {
    await context.handler.onSnapshot(message, counted(rest, bytes, status), part);
  } catch (error) {
    fail(status);
    const reason = reasonOf(error);
    context.logger.warn('failed to save incoming database snapshot', { ...fields, error: reason });
    response.setHeader('Connection', 'close');
    replyError(response, 500, `failed to save KV snapshot (${reason})`);
    return;
  } finally {
    if (status !== undefined) status.snapshotsReceiving -= 1;
  }
  const tookSeconds = (context.clock.now() - startedAt) / 1000;
  if (status !== undefined) status.snapshotsReceived += 1;
  context.observer?.snapshotReceived(message.from, tookSeconds);
  context.logger.info('received and saved database snapshot', { ...fields, 'took-seconds': tookSeconds });
  response.writeHead(204).end();
}

function fail(status: PeerStatus | undefined): void {
  if (status !== undefined) status.snapshotReceiveFailures += 1;
}

/** The message and the bytes after it, or why it could not be read. */
async function readHead(
  bytes: AsyncGenerator<Buffer>,
  status: PeerStatus | undefined,
): Promise<{ message: Message; rest: Buffer } | string> {
  const decoder = new MessageDecoder(MAX_HEAD_BYTES);
  try {
    for (;;) {
      const next = await bytes.next();
      if (next.done === true) throw new StreamFormatError('unexpected EOF');
      const head = decoder.decodeFirst(next.value);
      if (head === undefined) continue;
      if (head.message.type !== MessageType.MsgSnap) return 'wrong raft message type';
      return head;
    }
  } catch (error) {
    if (status !== undefined) status.receivedFailures += 1;
    return `failed to decode raft message (${reasonOf(error)})`;
  }
}

async function* counted(
  first: Buffer,
  rest: AsyncGenerator<Buffer>,
  status: PeerStatus | undefined,
): AsyncGenerator<Buffer> {
  if (first.length > 0) yield first;
  let bytes = first.length;
  for await (const chunk of rest) {
    bytes += chunk.length;
    yield chunk;
  }
  if (status !== undefined) status.receivedBytes += bytes;
}

/** The body. It fails if the sender is silent too long. Time used by the reader does not count. */
async function* withIdleTimeout(request: IncomingMessage): AsyncGenerator<Buffer> {
  // Not destroyed when the reader stops early: the response with the reason is sent on the same connection.
  const chunks = request.iterator({ destroyOnReturn: false }) as AsyncIterableIterator<Buffer>;
  try {
    for (;;) {
      const timer = setTimeout(() => {
        request.destroy(new Error(`nothing received for ${IDLE_TIMEOUT_MS} ms`));
      }, IDLE_TIMEOUT_MS);
      const next = await chunks.next().finally(() => clearTimeout(timer));
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    await chunks.return?.();
  }
}
