import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SecureContextOptions } from 'node:tls';
import { PutRequest, PutResponse, RangeRequest, RangeResponse } from '../../../src/wire/gen/etcdserverpb.ts';
import { KV } from '../../../src/wire/services.ts';
import { LoadClient } from '../../harness/load-client.ts';

const PREFIX = 'load/';
const VALUE_BYTES = 256;
/** Each writer has one put in progress, and waits this long after it. */
const PAUSE_MS = 20;
const TIMEOUT_MS = 5_000;
const KEYS_PER_PAGE = 10_000;

/** How to reach a cluster: `<host>:<port>`, and what connections are made with over TLS. */
export interface Address {
  endpoint: string;
  tls?: () => SecureContextOptions;
}

/** What was measured in one part of a test. */
export interface LoadReport {
  /** The longest time in which no writer got an acknowledgement. */
  longestOutageMs: number;
  /** The longest time in which one writer got no acknowledgement. */
  longestOfOneWriterMs: number;
  acknowledged: number;
  /** Failed puts by code and text. Whether they took effect is unknown. */
  failures: Record<string, number>;
}

/**
 * Writers that put unique keys through one address, such as that of a Service. Each writer has a connection of its own,
 * and opens a new one after a failure. A put is never repeated.
 */
export class ServiceLoad {
  readonly #address: Address;
  readonly #running: Promise<void>[];
  /** Revisions of acknowledged puts by key. */
  readonly #acknowledged = new Map<string, number>();
  readonly #failed = new Set<string>();
  readonly #lastOfWriters: number[];
  #last = performance.now();
  #report: LoadReport = emptyReport();
  #stopped = false;

  constructor(address: Address, writers: number) {
    this.#address = address;
    this.#lastOfWriters = Array.from({ length: writers }, () => this.#last);
    this.#running = this.#lastOfWriters.map((_, writer) => this.#write(writer));
  }

  /** Starts a new measurement and returns the one until now. */
  measure(): LoadReport {
    this.#lastOfWriters.forEach((_, writer) => this.#note(writer));
    const report = this.#report;
    this.#report = emptyReport();
    return report;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
  }

  /** Revisions by key of the puts that are acknowledged so far. */
  acknowledged(): ReadonlyMap<string, number> {
    return new Map(this.#acknowledged);
  }

  /**
   * Reads all keys of the load. Returns what is wrong: an acknowledged put that is missing or has another revision, and
   * a key that is there although it was not put.
   *
   * @param expected the puts that must be there, of {@link acknowledged}
   * @param at another cluster with the same data
   */
  async faults(expected: ReadonlyMap<string, number>, at = this.#address): Promise<string[]> {
    const client = new LoadClient(at.endpoint, { timeoutMs: 60_000, ...at });
    try {
      const stored = await storedKeys(client);
      const lost = [...expected]
        .filter(([key, revision]) => stored.get(key) !== revision)
        .map(([key, revision]) => `${key} of revision ${revision} is ${String(stored.get(key))}`);
      const strange = [...stored.keys()]
        .filter((key) => !this.#acknowledged.has(key) && !this.#failed.has(key))
        .map((key) => `${key} was not put`);
      return [...lost, ...strange];
    } finally {
      client.close();
    }
  }

  async #write(writer: number): Promise<void> {
    const client = new LoadClient(this.#address.endpoint, { timeoutMs: TIMEOUT_MS, ...this.#address });
    for (let number = 0; !this.#stopped; number += 1) {
      const key = `${PREFIX}${writer}/${number}`;
      // Until its answer, a put may or may not have taken effect.
      this.#failed.add(key);
      const put = PutRequest.create({ key: Buffer.from(key), value: randomBytes(VALUE_BYTES) });
      const answer = await client.call(KV.methods.put.path, PutRequest.encode(put));
      if ('message' in answer) {
        this.#failed.delete(key);
        this.#acknowledged.set(key, PutResponse.decode(answer.message).header?.revision ?? 0);
        this.#note(writer);
        this.#report.acknowledged += 1;
        this.#last = this.#lastOfWriters[writer] = performance.now();
      } else {
        const failure = `${answer.code} ${answer.details}`;
        this.#report.failures[failure] = (this.#report.failures[failure] ?? 0) + 1;
        client.close();
      }
      await sleep(PAUSE_MS);
    }
    client.close();
  }

  /** Takes the time since the last acknowledgement into the report. */
  #note(writer: number): void {
    const now = performance.now();
    const report = this.#report;
    report.longestOutageMs = Math.max(report.longestOutageMs, Math.round(now - this.#last));
    const own = Math.round(now - (this.#lastOfWriters[writer] ?? now));
    report.longestOfOneWriterMs = Math.max(report.longestOfOneWriterMs, own);
  }
}

function emptyReport(): LoadReport {
  return { longestOutageMs: 0, longestOfOneWriterMs: 0, acknowledged: 0, failures: {} };
}

async function storedKeys(client: LoadClient): Promise<Map<string, number>> {
  const stored = new Map<string, number>();
  const end = Buffer.from(PREFIX.replace(/\/$/, '0'));
  let from = Buffer.from(PREFIX);
  for (;;) {
    const request = RangeRequest.create({ key: from, rangeEnd: end, limit: KEYS_PER_PAGE, keysOnly: true });
    const answer = await client.call(KV.methods.range.path, RangeRequest.encode(request));
    if (!('message' in answer)) throw new Error(`range: ${answer.code} ${answer.details}`);
    const { kvs, more } = RangeResponse.decode(answer.message);
    for (const { key, modRevision } of kvs) stored.set(Buffer.from(key).toString(), modRevision);
    const last = kvs.at(-1);
    if (!more || last === undefined) return stored;
    from = Buffer.concat([last.key, Buffer.alloc(1)]);
  }
}
