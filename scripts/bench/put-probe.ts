import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { AuthenticateResponse } from '../../src/wire/gen/etcdserverpb.ts';
import { Auth, KV } from '../../src/wire/services.ts';
import type { Account } from './accounts.ts';

const PUT_EVERY_MS = 4;
const VALUE = Buffer.alloc(256, 'v');

/** A client that puts at a steady rate far below the server's limit, and measures the time of each put. */
export class PutProbe {
  readonly #client: Client;
  readonly #metadata = new Metadata();

  private constructor(endpoint: string) {
    this.#client = new Client(endpoint, credentials.createInsecure());
  }

  static async login(endpoint: string, { name, password }: Account): Promise<PutProbe> {
    const probe = new PutProbe(endpoint);
    const { path, request, response } = Auth.methods.authenticate;
    const answer = await new Promise<AuthenticateResponse>((resolve, reject) => {
      probe.#client.makeUnaryRequest(
        path,
        (message: Account) => request.encode(request.create(message)),
        (bytes: Buffer) => response.decode(bytes),
        { name, password },
        (error, message) =>
          message === undefined ? reject(error ?? new Error('no answer')) : resolve(message),
      );
    });
    probe.#metadata.set('token', answer.token);
    return probe;
  }

  /** Milliseconds of the 99th percentile. */
  async p99(durationMs: number): Promise<number> {
    const puts: Promise<number>[] = [];
    const began = performance.now();
    for (let at = 0; at * PUT_EVERY_MS < durationMs; at += 1) {
      const wait = began + at * PUT_EVERY_MS - performance.now();
      if (wait > 0) await new Promise((wake) => setTimeout(wake, wait));
      puts.push(this.#put(`probe/${at % 1000}`));
    }
    const times = (await Promise.all(puts)).sort((a, b) => a - b);
    return times[Math.floor(times.length * 0.99)] ?? 0;
  }

  #put(key: string): Promise<number> {
    const { path, request, response } = KV.methods.put;
    const began = performance.now();
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        path,
        (name: string) => request.encode(request.create({ key: Buffer.from(name), value: VALUE })),
        (bytes: Buffer) => response.decode(bytes),
        key,
        this.#metadata,
        (error) => (error === null ? resolve(performance.now() - began) : reject(error)),
      );
    });
  }

  close(): void {
    this.#client.close();
  }
}
