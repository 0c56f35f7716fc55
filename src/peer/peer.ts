import type { Socket } from 'node:net';
import { hex } from '../lib/text.ts';
import type { OutgoingSnapshot } from '../ports/peer-transport.ts';
import { type Message, MessageType } from '../wire/gen/raftpb.ts';
import type { PeerContext } from './context.ts';
import { PeerStatus } from './peer-status.ts';
import { Pipeline } from './pipeline.ts';
import { Prober } from './prober.ts';
import { Reconnection } from './reconnection.ts';
import type { RequestAgents } from './request-agents.ts';
import { SnapshotSender } from './snapshot-sender.ts';
import { StreamKind, streamKinds } from './stream-codec.ts';
import type { StreamEnd } from './stream-end.ts';
import { StreamReader } from './stream-reader.ts';
import { StreamWriter } from './stream-writer.ts';
import { UrlPicker } from './url-picker.ts';

/** Milliseconds between two log lines about lost messages. */
const LOSS_LOG_INTERVAL_MS = 5_000;

export interface PeerOptions {
  readonly context: PeerContext;
  readonly id: bigint;
  readonly urls: readonly string[];
  readonly agents: RequestAgents;
  /** Counters of the time before the member was in the configuration. */
  readonly status?: PeerStatus | undefined;
}

/**
 * All connections with one member: two streams in each direction, single POST requests while there are no streams, and
 * snapshots.
 */
export class Peer {
  readonly status: PeerStatus;
  readonly #context: PeerContext;
  readonly #picker: UrlPicker;
  readonly #writers: Readonly<Record<StreamKind, StreamWriter>>;
  readonly #readers: readonly StreamReader[];
  readonly #pipeline: Pipeline;
  readonly #snapshots: SnapshotSender;
  readonly #prober: Prober;
  readonly #reconnection: Reconnection;
  #lossPending = false;
  #lossLoggedAt = -Infinity;
  #stopped = false;

  /** @throws TypeError for invalid URLs */
  constructor({ context, id, urls, agents, status: earlier }: PeerOptions) {
    this.#context = context;
    const picker = new UrlPicker(urls);
    const status = earlier ?? new PeerStatus(id, context.clock, context.logger);
    const failed = (reason: string): void => this.#failed(reason);
    this.#picker = picker;
    this.status = status;
    this.#writers = { msgapp: this.#writer(StreamKind.Append), message: this.#writer(StreamKind.Message) };
    this.#readers = streamKinds.map((kind) => this.#reader(kind));
    this.#pipeline = new Pipeline({ context, status, picker, agents, failed });
    this.#snapshots = new SnapshotSender({ context, status, picker, failed });
    this.#prober = new Prober({ context, status, picker });
    this.#reconnection = new Reconnection({
      silenceMs: context.reconnectTimeoutMs,
      after: (delayMs, task) => {
        const timer = setTimeout(task, delayMs);
        return () => clearTimeout(timer);
      },
      gone: () => context.handler.onPeerGone(id),
    });
    for (const reader of this.#readers) reader.start();
  }

  /** Queues a message for the next `flush`. */
  push(message: Message): void {
    if (!this.#hasTaken(message)) this.#lose(message);
  }

  flush(): void {
    this.#writers.message.flush();
    this.#writers.msgapp.flush();
  }

  sendSnapshot(message: Message, snapshot: OutgoingSnapshot): void {
    this.#snapshots.send(message, snapshot);
  }

  /** Smoothed milliseconds; undefined before the first one was measured. */
  get roundTripMs(): number | undefined {
    return this.#prober.roundTripMs;
  }

  updateUrls(urls: readonly string[]): void {
    this.#picker.update(urls);
  }

  /** Takes over the socket of a stream that the other member requested. */
  attach(kind: StreamKind, socket: Socket): void {
    this.#writers[kind].attach(socket);
    this.#connected();
    // The member takes connections now. After a start of the whole cluster, the earlier attempts were refused.
    for (const reader of this.#readers) reader.retryNow();
  }

  stop(): void {
    this.#stopped = true;
    this.#reconnection.stop();
    for (const reader of this.#readers) reader.stop();
    for (const kind of streamKinds) this.#writers[kind].close();
    this.#pipeline.stop();
    this.#snapshots.stop();
    this.#prober.stop();
  }

  /** Appends have a separate stream, so that heartbeats and votes never wait behind them. */
  #hasTaken(message: Message): boolean {
    const { msgapp, message: other } = this.#writers;
    // A snapshot message is long and would block a stream.
    if (message.type === MessageType.MsgSnap) return this.#pipeline.push(message);
    if (message.type === MessageType.MsgApp && msgapp.isOpen) return msgapp.push(message);
    if (other.isOpen) return other.push(message);
    return this.#pipeline.push(message);
  }

  #lose(message: Message): void {
    this.status.sentFailures += 1;
    const now = this.#context.clock.now();
    if (now - this.#lossLoggedAt >= LOSS_LOG_INTERVAL_MS) {
      this.#lossLoggedAt = now;
      this.#context.logger.warn('dropped raft messages: too many messages are waiting', {
        'remote-peer-id': hex(this.status.id),
        'remote-peer-active': this.status.isActive,
      });
    }
    this.#reportLoss();
    if (message.type === MessageType.MsgSnap)
      queueMicrotask(() => this.#context.handler.reportSnapshot(message.to, false));
  }

  /** Reported later and once, since many messages are lost at a time, and from within calls of the server. */
  #reportLoss(): void {
    if (this.#lossPending || this.#stopped) return;
    this.#lossPending = true;
    queueMicrotask(() => {
      this.#lossPending = false;
      if (!this.#stopped) this.#context.handler.reportUnreachable(this.status.id);
    });
  }

  #writer(kind: StreamKind): StreamWriter {
    return new StreamWriter({
      kind,
      status: this.status,
      writeTimeoutMs: this.#context.writeTimeoutMs,
      lost: () => this.#reportLoss(),
      ended: (end) => this.#ended(kind, end),
    });
  }

  #reader(kind: StreamKind): StreamReader {
    return new StreamReader({
      kind,
      context: this.#context,
      status: this.status,
      picker: this.#picker,
      received: (messages) => this.#received(messages),
      opened: () => this.#connected(),
      ended: (end) => this.#ended(kind, end),
    });
  }

  #connected(): void {
    this.status.activate();
    this.#reconnection.answered();
  }

  get #isConnected(): boolean {
    if (this.#writers.msgapp.isOpen || this.#writers.message.isOpen) return true;
    return this.#readers.some(({ isOpen }) => isOpen);
  }

  #failed(reason: string): void {
    if (!this.#isConnected) this.status.deactivate(reason);
  }

  #ended(kind: StreamKind, end: StreamEnd): void {
    if (this.#stopped) return;
    // Writes to a silent member only fill the system's buffers. POST requests detect when it is back.
    if (end.cause === 'silence' && !this.#readers.some(({ isOpen }) => isOpen))
      for (const other of streamKinds) this.#writers[other].close();
    if (end.cause === 'refused') this.#reconnection.refused();
    if (end.cause === 'answered') this.#reconnection.answered();
    if (this.#isConnected) return;
    this.status.deactivate(`stream ${kind}: ${end.reason}`);
    if (end.wasOpen && end.cause === 'closed-by-remote') this.#reconnection.closed();
  }

  /** @returns why a message was refused */
  #received(messages: readonly Message[]): string | undefined {
    const { handler, local } = this.#context;
    const isWelcome = ({ to, from }: Message): boolean =>
      to === local.localId && (from === this.status.id || !handler.isIdRemoved(from));
    if (messages.every(isWelcome)) return handler.onMessages(messages);
    const welcome = messages.filter(isWelcome);
    this.status.receivedFailures += messages.length - welcome.length;
    this.#context.logger.warn('refused raft messages from a removed member or for another member', {
      'remote-peer-id': hex(this.status.id),
    });
    return welcome.length > 0 ? handler.onMessages(welcome) : undefined;
  }
}
