import { setTimeout as sleep } from 'node:timers/promises';
import { RpcClient } from '../../e2e/harness/rpc-client.ts';
import {
  AuthenticateRequest,
  type AuthenticateResponse,
  PutRequest,
} from '../../src/wire/gen/etcdserverpb.ts';
import { Auth, KV } from '../../src/wire/services.ts';
import type { Account } from './accounts.ts';

const PUT_EVERY_MS = 4;
const VALUE = Buffer.alloc(256, 'v');

/** A client that puts at a steady rate far below the server's limit, and measures the time of each put. */
export class PutProbe {
  readonly #client: RpcClient;

  private constructor(client: RpcClient) {
    this.#client = client;
  }

  static async login(endpoint: string, { name, password }: Account): Promise<PutProbe> {
    const client = new RpcClient(endpoint);
    const answer = await client.unary(
      Auth.methods.authenticate,
      AuthenticateRequest.create({ name, password }),
    );
    client.close();
    if (!('messages' in answer)) throw new Error(`the login failed: ${answer.details}`);
    const { token } = answer.messages[0] as AuthenticateResponse;
    return new PutProbe(new RpcClient(endpoint, { token }));
  }

  /** Milliseconds of the 99th percentile. */
  async p99(durationMs: number): Promise<number> {
    const puts: Promise<number>[] = [];
    const began = performance.now();
    for (let at = 0; at * PUT_EVERY_MS < durationMs; at += 1) {
      const wait = began + at * PUT_EVERY_MS - performance.now();
      if (wait > 0) await sleep(wait);
      puts.push(this.#put(`probe/${at % 1000}`));
    }
    const times = (await Promise.all(puts)).sort((a, b) => a - b);
    return times[Math.floor(times.length * 0.99)] ?? 0;
  }

  async #put(key: string): Promise<number> {
    const began = performance.now();
    const request = PutRequest.create({ key: Buffer.from(key), value: VALUE });
    const answer = await this.#client.unary(KV.methods.put, request);
    if (!('messages' in answer)) throw new Error(`a put failed: ${answer.details}`);
    return performance.now() - began;
  }

  close(): void {
    this.#client.close();
  }
}
