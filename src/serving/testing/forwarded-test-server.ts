import { MessageChannel } from 'node:worker_threads';
import { GrpcServer, type GrpcServerOptions } from '../../grpc/server.ts';
import { TestServer } from '../../grpc/test-server.ts';
import { CoreCalls } from '../core-calls.ts';
import { ServingThread } from '../serving-thread.ts';

/** The server for tests behind the channel of a serving thread. Both ends are in this thread. */
export class ForwardedTestServer extends TestServer {
  override readonly readAheadBytes = 256 * 1024;
  readonly #front: GrpcServer;
  readonly #close: () => void;

  constructor(options: Partial<GrpcServerOptions> = {}) {
    super(options);
    const { http1, ...others } = options;
    const { port1, port2 } = new MessageChannel();
    const methods = this.grpc.methods();
    let front: GrpcServer | undefined;
    new ServingThread({
      port: port1,
      methods,
      createServer: (forward) => {
        front = new GrpcServer({
          maxReceiveBytes: 1024 * 1024,
          ...others,
          ...(http1 === undefined ? {} : { http1: forward }),
        });
        return front;
      },
      addresses: () => Promise.resolve([]),
    });
    if (front === undefined) throw new Error('a serving thread creates its server');
    this.#front = front;
    new CoreCalls({
      port: port2,
      methods,
      calls: this.grpc,
      serveHttp: (socket) => http1?.emit('connection', socket),
      onControl: () => undefined,
    });
    this.#close = () => {
      this.#front.close();
      this.grpc.close();
      // The records of closed connections come last.
      setImmediate(() => port1.close());
    };
  }

  override get front(): GrpcServer {
    return this.#front;
  }

  override close(): void {
    this.#close();
  }
}
