import { connect, createServer, type Server, type Socket } from 'node:net';

/** A TCP proxy in front of a port. A test can cut its connections or delay their bytes. */
export class Relay {
  readonly port: number;
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  readonly #delayMs: number;

  private constructor(
    server: Server,
    { port, targetPort, delayMs }: { port: number; targetPort: number; delayMs: number },
  ) {
    this.#server = server;
    this.#delayMs = delayMs;
    this.port = port;
    server.on('connection', (near) => this.#join(near, connect(targetPort, '127.0.0.1')));
  }

  /** @param delayMs delay of all bytes in each direction */
  static open(port: number, targetPort: number, delayMs = 0): Promise<Relay> {
    const server = createServer({ allowHalfOpen: true });
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', () => resolve(new Relay(server, { port, targetPort, delayMs })));
    });
  }

  get connections(): number {
    return this.#pairs.size;
  }

  /** Closes all connections. New ones are accepted. */
  cut(): void {
    for (const [near, far] of this.#pairs) {
      near.destroy();
      far.destroy();
    }
    this.#pairs.clear();
  }

  close(): void {
    this.#server.close();
    this.cut();
  }

  #join(near: Socket, far: Socket): void {
    const pair = [near, far] as const;
    this.#pairs.add(pair);
    for (const [from, to] of [pair, [far, near] as const]) {
      from.setNoDelay(true);
      if (this.#delayMs === 0) from.pipe(to);
      else pipeLater(from, to, this.#delayMs);
      from.on('error', () => undefined);
      from.on('close', () => {
        to.destroy();
        this.#pairs.delete(pair);
      });
    }
  }
}

/** Timers with the same delay fire in the order in which they were started. */
function pipeLater(from: Socket, to: Socket, delayMs: number): void {
  from.on('data', (chunk: Buffer) => setTimeout(() => to.write(chunk), delayMs));
  from.on('end', () => setTimeout(() => to.end(), delayMs));
}
