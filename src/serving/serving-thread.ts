import type { Socket } from 'node:net';
import type { ListenAddress } from '../grpc/listeners.ts';
import type { GrpcServer } from '../grpc/server.ts';
import { Forwarder, type ForwarderOptions } from './forwarder.ts';
import { HttpForwarder } from './http-forwarder.ts';
import { Link, type LinkPort } from './link.ts';
import type { ServedMethod } from './core-calls.ts';
import type { ControlToCore, ControlToThread } from './thread-data.ts';

/** Interval at which the calls that were not forwarded are reported. */
const REPORT_MS = 500;

export interface ServingThreadOptions {
  readonly port: LinkPort;
  readonly methods: readonly ServedMethod[];
  /** A server without methods. It passes HTTP/1.1 connections to `serveHttp`. */
  readonly createServer: (http1: { emit(event: string | symbol, socket: Socket): boolean }) => GrpcServer;
  /** See `ForwarderOptions`. */
  readonly reads?: ForwarderOptions['reads'];
  /** Opens its files and returns where to listen. */
  readonly addresses: () => Promise<readonly ListenAddress[]>;
}

/** A serving thread: sockets, TLS, HTTP/2 and the framing of gRPC. The calls themselves are answered by the core. */
export class ServingThread {
  readonly #options: ServingThreadOptions;
  readonly #link: Link;
  readonly #grpc: GrpcServer;
  readonly #forwarder: Forwarder;
  readonly #http: HttpForwarder;
  /** By method and code: calls that were reported, by the core or here. */
  readonly #reported: number[][];
  #reporter: NodeJS.Timeout | undefined;

  constructor(options: ServingThreadOptions) {
    const { port, methods, createServer } = options;
    this.#options = options;
    const link = new Link({
      port,
      onRecord: (kind, id, reader) => {
        if (!this.#http.onRecord(kind, id, reader)) this.#forwarder.onRecord(kind, id, reader);
      },
      onControl: (message) => this.#onControl(message as ControlToThread),
    });
    this.#link = link;
    this.#http = new HttpForwarder(link);
    this.#grpc = createServer({
      emit: (_event, socket) => {
        this.#http.serve(socket);
        return true;
      },
    });
    this.#forwarder = new Forwarder({ grpc: this.#grpc, link, methods, reads: options.reads });
    this.#reported = methods.map(() => []);
  }

  /** Sends a message to the core. */
  control(message: ControlToCore): void {
    this.#link.control(message);
  }

  #onControl(message: ControlToThread): void {
    switch (message.kind) {
      case 'listen':
        void this.#listen();
        return;
      case 'stop':
        void this.#stop(message.graceMs);
        return;
      case 'store':
        this.#forwarder.reads?.attach(message.handle, message.clusterId, message.memberId);
        return;
      case 'recall':
        this.#forwarder.reads?.detach();
        this.control({ kind: 'returned' });
    }
  }

  async #listen(): Promise<void> {
    try {
      for (const address of await this.#options.addresses()) await this.#grpc.listen(address);
    } catch (error) {
      const isError = error instanceof Error;
      this.control({
        kind: 'failed',
        message: isError ? error.message : String(error),
        syscall: isError && 'syscall' in error ? String(error.syscall) : undefined,
      });
      return;
    }
    this.#reporter = setInterval(() => this.#report(), REPORT_MS);
    this.control({ kind: 'listening' });
  }

  async #stop(graceMs: number): Promise<void> {
    await this.#grpc.shutdown(graceMs);
    clearInterval(this.#reporter);
    this.#http.close();
    this.#report();
    this.control({ kind: 'stopped' });
  }

  /** The core counts the calls that it gets. It is told of the others, so that its counters are those of all calls. */
  #report(): void {
    const calls: [method: number, code: number, count: number][] = [];
    for (const [method, { handled }] of this.#grpc.methodStats().entries()) {
      const reported = this.#reported[method] as number[];
      const forwarded = this.#forwarder.ended[method] as number[];
      for (const [code, count] of handled.entries()) {
        const news = count - (forwarded[code] ?? 0) - (reported[code] ?? 0);
        if (news <= 0) continue;
        reported[code] = (reported[code] ?? 0) + news;
        calls.push([method, code, news]);
      }
    }
    if (calls.length > 0) this.control({ kind: 'ended', calls });
  }
}
