import { createServer, type Server } from 'node:net';
import { Connection, type ConnectionOwner } from './connection.ts';
import { Endings } from './endings.ts';
import { FlushScheduler } from './flush-scheduler.ts';
import type { HeaderField } from './header-field.ts';
import { HeldBytes } from './held-bytes.ts';
import { encodeStatic } from './hpack-encoder.ts';
import { type ConnectionLimits, DEFAULT_KEEPALIVE, DEFAULT_LIMITS, type KeepalivePolicy } from './limits.ts';
import { RawClient } from './raw-client.ts';
import type { Http2Stream, StreamListener } from './stream.ts';
import { Turns } from './turns.ts';

/**
 * A server for tests of the framing. `/bytes/N` responds with N bytes read from a source, `/echo` with the received
 * bytes. `/hang` never responds and consumes nothing. `/sink` consumes and never responds.
 */
export class ConnectionHarness implements ConnectionOwner {
  readonly connections: Connection[] = [];
  readonly resets: number[] = [];
  /** Number of bytes read from sources. */
  pulled = 0;
  closed = 0;
  received = 0;
  readonly held = new HeldBytes(32 * 1024 * 1024);
  readonly #limits: ConnectionLimits;
  readonly #keepalive: KeepalivePolicy;
  readonly #scheduler = new FlushScheduler();
  readonly #turns = new Turns(() => performance.now());
  readonly #endings = new Endings(this.#turns);
  #server: Server | undefined;
  #port = 0;
  /** Milliseconds added to the clock of the connections. */
  clockAhead = 0;

  constructor(limits: Partial<ConnectionLimits> = {}, keepalive: Partial<KeepalivePolicy> = {}) {
    this.#limits = { ...DEFAULT_LIMITS, ...limits };
    this.#keepalive = { ...DEFAULT_KEEPALIVE, ...keepalive };
  }

  async start(): Promise<this> {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      this.connections.push(
        new Connection(socket, this, {
          limits: this.#limits,
          keepalive: this.#keepalive,
          scheduler: this.#scheduler,
          turns: this.#turns,
          endings: this.#endings,
          templates: [[[':status', '200']]],
          now: this.now,
          counters: { socketBytesRead: 0, socketBytesWritten: 0 },
          held: this.held,
        }),
      );
    });
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    this.#port = typeof address === 'object' && address !== null ? address.port : 0;
    return this;
  }

  readonly now = (): number => performance.now() + this.clockAhead;

  get where(): { host: string; port: number } {
    return { host: '127.0.0.1', port: this.#port };
  }

  connect(): Promise<RawClient> {
    return RawClient.open(this.where);
  }

  sweep(): void {
    for (const connection of this.connections) if (!connection.closed) connection.sweep(this.now());
  }

  stop(): void {
    this.#server?.close();
    for (const connection of this.connections) connection.destroy();
  }

  onConnectionClosed(): void {
    this.closed++;
  }

  onRequest(stream: Http2Stream, _fields: readonly HeaderField[], endStream: boolean): void {
    const { path } = stream;
    if (path.startsWith('/bytes/')) this.#answerBytes(stream, Number(path.slice(7)));
    stream.listener = this.#listener(stream);
    if (endStream && path === '/echo') {
      stream.sendHeadersOnly(encodeStatic([[':status', '204']]));
    }
  }

  #answerBytes(stream: Http2Stream, total: number): void {
    let left = total;
    stream.sendHeaders(0);
    stream.writeSource(
      {
        read: (maxBytes) => {
          const bytes = Math.min(maxBytes, left);
          left -= bytes;
          this.pulled += bytes;
          return [Buffer.alloc(bytes, 'x')];
        },
      },
      total,
    );
    stream.end('data');
  }

  #listener(stream: Http2Stream): StreamListener {
    let answered = false;
    return {
      onData: (data, endStream) => {
        this.received += data.length;
        if (stream.path === '/hang') return;
        stream.consume(data.length);
        if (stream.path !== '/echo') return;
        if (!answered) stream.sendHeaders(0);
        answered = true;
        stream.write(data);
        if (endStream) stream.end('data');
      },
      onReset: (code) => {
        this.resets.push(code);
      },
      onDrain: () => undefined,
    };
  }
}
