import { setTimeout as sleep } from 'node:timers/promises';
import { PutRequest, PutResponse } from '../../src/wire/gen/etcdserverpb.ts';
import { KV } from '../../src/wire/services.ts';
import { LoadClient } from '../harness/load-client.ts';
import type { Ledger } from './ledger.ts';

const KEYS_PER_WRITER = 4;
/** A writer whose member does not answer tries the next member after this time. */
const RETRY_MS = 20;
const TIMEOUT_MS = 5_000;

/** Writers that put at full rate and record acknowledged values. Each has one put in progress. */
export class PutLoad {
  readonly #ledger: Ledger;
  readonly #clients: readonly LoadClient[];
  readonly #running: Promise<void>[] = [];
  #stopped = false;
  #paused = false;

  constructor(endpoints: readonly string[], ledger: Ledger, writers: number) {
    this.#ledger = ledger;
    this.#clients = endpoints.map((endpoint) => new LoadClient(endpoint, { timeoutMs: TIMEOUT_MS }));
    for (let writer = 0; writer < writers; writer += 1) this.#running.push(this.#run(writer));
  }

  /** Starts no new puts. Puts in progress finish. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
    for (const client of this.#clients) client.close();
  }

  async #run(writer: number): Promise<void> {
    let member = writer;
    for (let turn = 0; !this.#stopped; turn += 1) {
      if (this.#paused) {
        await sleep(RETRY_MS);
        continue;
      }
      const client = this.#clients[member % this.#clients.length];
      if (client === undefined) throw new Error('the load has endpoints');
      if (!(await this.#put(client, `${writer}/${turn % KEYS_PER_WRITER}`))) {
        member += 1;
        await sleep(RETRY_MS);
      }
    }
  }

  async #put(client: LoadClient, key: string): Promise<boolean> {
    const { number, value } = this.#ledger.next(key);
    const request = PutRequest.encode(PutRequest.create({ key: Buffer.from(key), value }));
    const answer = await client.call(KV.methods.put.path, request);
    if (!('message' in answer)) return false;
    const revision = PutResponse.decode(answer.message).header?.revision ?? 0;
    this.#ledger.acknowledge(key, { number, revision });
    return true;
  }
}
