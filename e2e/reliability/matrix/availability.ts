import { setTimeout as sleep } from 'node:timers/promises';
import { PutRequest } from '../../../src/wire/gen/etcdserverpb.ts';
import { KV } from '../../../src/wire/services.ts';
import { LoadClient } from '../../harness/load-client.ts';
import { eventually } from '../../harness/wait.ts';

const EVERY_MS = 10;
/** Interval of puts, even if earlier ones are not answered yet. It is the precision of the measured outages. */
const PUT_EVERY_MS = 50;
const MAX_PENDING = 40;
/** Timeout of a put that was lost during a fault. */
const TIMEOUT_MS = 2_000;
const RECOVERY_MS = 120_000;

/** Sends puts to each member all the time and records when they are acknowledged. */
export class Availability {
  readonly #acknowledged = new Map<string, number[]>();
  readonly #running: Promise<void>[];
  #stopped = false;

  constructor(endpoints: readonly string[]) {
    this.#running = endpoints.map((endpoint) => this.#run(endpoint));
  }

  /** Returns the longest time in milliseconds without an acknowledged put through any member, since `begun`. */
  outageSince(begun: number): number {
    const times = [...this.#acknowledged.values()].flat().filter((time) => time > begun);
    let longest = 0;
    let before = begun;
    for (const time of [...times.sort((a, b) => a - b), performance.now()]) {
      longest = Math.max(longest, time - before);
      before = time;
    }
    return longest;
  }

  /** Waits for an acknowledged put through a member. @returns the milliseconds from this call */
  async waitForPut(endpoint: string): Promise<number> {
    const begun = performance.now();
    const times = this.#acknowledged.get(endpoint) ?? [];
    const at = await eventually(
      `a put through ${endpoint}`,
      () => {
        const last = times.at(-1);
        return last !== undefined && last > begun ? last : undefined;
      },
      { timeoutMs: RECOVERY_MS, everyMs: EVERY_MS },
    );
    return at - begun;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
  }

  async #run(endpoint: string): Promise<void> {
    const times: number[] = [];
    this.#acknowledged.set(endpoint, times);
    const key = Buffer.from(`availability/${endpoint}`);
    let client = new LoadClient(endpoint, { timeoutMs: TIMEOUT_MS });
    let openedMs = performance.now();
    const put = async (turn: number): Promise<void> => {
      const request = PutRequest.encode(PutRequest.create({ key, value: Buffer.from(String(turn)) }));
      const answer = await client.call(KV.methods.put.path, request);
      const now = performance.now();
      if ('message' in answer) times.push(now);
      else if (now - Math.max(openedMs, times.at(-1) ?? 0) > TIMEOUT_MS) {
        client.close();
        client = new LoadClient(endpoint, { timeoutMs: TIMEOUT_MS });
        openedMs = now;
      }
    };
    const pending = new Set<Promise<void>>();
    for (let turn = 0; !this.#stopped; turn += 1) {
      if (pending.size < MAX_PENDING) {
        const one = put(turn).finally(() => pending.delete(one));
        pending.add(one);
      }
      await sleep(PUT_EVERY_MS);
    }
    client.close();
    await Promise.all(pending);
  }
}
