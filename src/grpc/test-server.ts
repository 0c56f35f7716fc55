import { GrpcServer, type GrpcServerOptions } from './server.ts';
import type { StreamCall } from './stream-call.ts';
import type { UnaryCall } from './unary-call.ts';

const UNARY = { clientStreaming: false, serverStreaming: false };
const SERVER = { clientStreaming: false, serverStreaming: true };
const BIDI = { clientStreaming: true, serverStreaming: true };

/** Size of a message of `/test.Test/Sources`. */
export const SOURCE_BYTES = 300_000;

/** A gRPC server for tests. Each of its methods has one behaviour. */
export class TestServer {
  readonly grpc: GrpcServer;
  readonly events: string[] = [];
  readonly hanging: UnaryCall[] = [];
  readonly streams: StreamCall[] = [];
  /** Bytes that may be read from a source ahead of the client, beyond the usual. */
  readonly readAheadBytes: number = 0;
  /** Bytes that the source of `/test.Test/Big` has produced. */
  pulled = 0;
  port = 0;

  constructor(options: Partial<GrpcServerOptions> = {}) {
    this.grpc = new GrpcServer({ maxReceiveBytes: 1024 * 1024, ...options });
    const { grpc } = this;
    grpc.unary({ path: '/test.Test/Echo', ...UNARY }, (call, request) => call.respond(request));
    grpc.unary({ path: '/test.Test/Parts', ...UNARY }, (call, request) =>
      call.respond([request.subarray(0, 1), request.subarray(1)]),
    );
    grpc.unary({ path: '/test.Test/Fail', ...UNARY }, (call, request) => call.fail(9, request.toString()));
    grpc.unary({ path: '/test.Test/Meta', ...UNARY }, (call, request) => {
      const name = request.toString();
      const value = name.endsWith('-bin') ? call.metadata.getBinary(name) : call.metadata.get(name);
      call.respond(Buffer.from(value ?? 'absent'));
    });
    grpc.unary({ path: '/test.Test/Peer', ...UNARY }, (call) => {
      const name = call.session.commonName;
      call.respond(Buffer.from(`${call.peer} ${name ?? '-'}`));
    });
    grpc.unary({ path: '/test.Test/Hang', ...UNARY }, (call) => {
      this.hanging.push(call);
      call.onCancel = (reason) => {
        this.events.push(`cancel ${reason}`);
      };
    });
    grpc.unary({ path: '/test.Test/Big', ...UNARY }, (call, request) => {
      const total = Number(request.toString());
      let left = total;
      call.respondStream(total, {
        read: (maxBytes) => {
          const bytes = Math.min(maxBytes, left);
          left -= bytes;
          this.pulled += bytes;
          return [Buffer.alloc(bytes, 'x')];
        },
      });
    });
    grpc.stream({ path: '/test.Test/Sources', ...SERVER }, (call) => {
      call.onMessage = (message) => {
        this.#writeSources(call, Number(message.toString()));
      };
    });
    grpc.stream({ path: '/test.Test/EchoStream', ...BIDI }, (call) => {
      this.streams.push(call);
      call.onMessage = (message) => {
        call.write(message);
      };
      call.onHalfClose = () => call.end();
      call.onCancel = (reason) => {
        this.events.push(`cancel ${reason}`);
      };
    });
    grpc.stream({ path: '/test.Test/Count', ...SERVER }, (call) => {
      this.streams.push(call);
      call.onMessage = (message) => {
        this.#count(call, Number(message.toString()));
      };
      call.onCancel = (reason) => {
        this.events.push(`cancel ${reason}`);
      };
    });
  }

  /** Sends messages from sources, each followed by a short message, as soon as the one before was read. */
  #writeSources(call: StreamCall, count: number): void {
    let number = 0;
    const next = (): void => {
      if (number > 0) call.write(Buffer.from([number]));
      if (number === count) {
        call.end();
        return;
      }
      number += 1;
      const fill = number;
      let left = SOURCE_BYTES;
      call.writeSource(left, {
        read: (maxBytes) => {
          const bytes = Math.min(maxBytes, left);
          left -= bytes;
          if (left === 0) setImmediate(next);
          return [Buffer.alloc(bytes, fill)];
        },
      });
    };
    next();
  }

  /** Sends messages of 1,000 bytes as fast as the client reads them. */
  #count(call: StreamCall, count: number): void {
    let next = 0;
    const goOn = (): void => {
      while (next < count) {
        next++;
        if (!call.write(Buffer.alloc(1_000, next & 0xff))) return;
      }
      call.end();
    };
    call.onWritable = goOn;
    goOn();
  }

  /** The server that has the connections. */
  get front(): GrpcServer {
    return this.grpc;
  }

  close(): void {
    this.front.close();
  }

  async start(): Promise<this> {
    this.port = await this.front.listen({ host: '127.0.0.1', port: 0 });
    return this;
  }

  get target(): string {
    return `127.0.0.1:${this.port}`;
  }
}
