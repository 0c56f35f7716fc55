import { isDeepStrictEqual } from 'node:util';
import { HashKVRequest, RangeRequest, WatchCreateRequest } from '../../src/wire/gen/etcdserverpb.ts';
import { KV, Maintenance } from '../../src/wire/services.ts';
import { SeededRandom } from '../../src/lib/seeded-random.ts';
import { eventually } from '../harness/wait.ts';
import { comparable } from './comparable.ts';
import { plain } from './plain.ts';
import { RequestMaker, type Progress } from './requests.ts';
import { RpcClient } from '../harness/rpc-client.ts';
import { StepMaker, unary, type DifferentialStep } from './steps.ts';
import { withoutTies } from './ties.ts';
import { WatchRecorder } from './watch-recorder.ts';

export interface Difference {
  seed: number;
  /** Index of the request in the run. */
  index: number;
  label: string;
  request: unknown;
  etcd: unknown;
  other: unknown;
}

const CHECKPOINT_EVERY = 250;
const ENOUGH = 8;

/** Sends one random sequence of requests to two new servers and returns the different responses. */
export class DifferentialRun {
  readonly #seed: number;
  readonly #clients: readonly [RpcClient, RpcClient];
  readonly #random: SeededRandom;
  readonly #progress: Progress = { revision: 1, compacted: 0 };
  readonly #make: RequestMaker;
  readonly #steps: StepMaker;
  readonly #differences: Difference[] = [];
  readonly #streams: (readonly [WatchRecorder, WatchRecorder])[] = [];
  #index = 0;

  constructor(seed: number, endpoints: readonly [string, string]) {
    this.#seed = seed;
    this.#clients = [new RpcClient(endpoints[0]), new RpcClient(endpoints[1])];
    this.#random = new SeededRandom(seed);
    this.#make = new RequestMaker(this.#random, this.#progress);
    this.#steps = new StepMaker(this.#random, this.#make, this.#progress);
  }

  async run(requests: number): Promise<Difference[]> {
    try {
      for (; this.#index < requests && this.#differences.length < ENOUGH; this.#index += 1) {
        if (this.#random.chance(0.02)) await this.#watch();
        const step = this.#steps.next();
        // A watch that still reads history may or may not be faster than a compaction.
        if (step.label === 'compact') await this.#compareWatches();
        await this.#both(step);
        if (this.#index % CHECKPOINT_EVERY === CHECKPOINT_EVERY - 1) await this.#checkpoint();
      }
      await this.#checkpoint();
    } finally {
      for (const [first, second] of this.#streams) {
        first.close();
        second.close();
      }
      for (const client of this.#clients) client.close();
    }
    return this.#differences;
  }

  async #both(step: DifferentialStep): Promise<void> {
    const [first, second] = this.#clients;
    const asked = plain(step.request);
    const [etcd, other] = (await Promise.all([step.send(first), step.send(second)]))
      .map(comparable)
      .map((answer) =>
        Array.isArray(answer)
          ? answer.map((message) => withoutTies(asked, message))
          : withoutTies(asked, answer),
      );
    this.#expectEqual(step.label, step.request, etcd, other);
    this.#learn(step, etcd);
  }

  /** Updates the known state from a response of etcd. */
  #learn(step: DifferentialStep, answer: unknown): void {
    if (!Array.isArray(answer)) return;
    const [message] = answer as { header?: { revision?: number } }[];
    this.#progress.revision = message?.header?.revision ?? this.#progress.revision;
    const { request } = step;
    if (
      step.label === 'compact' &&
      typeof request === 'object' &&
      request !== null &&
      'revision' in request
    ) {
      this.#progress.compacted = Math.max(this.#progress.compacted, Number(request.revision));
    }
  }

  async #watch(): Promise<void> {
    const random = this.#random;
    if (this.#streams.length === 0 || random.chance(0.15)) {
      this.#streams.push([new WatchRecorder(this.#clients[0]), new WatchRecorder(this.#clients[1])]);
    }
    const pair = random.pick(this.#streams);
    if (random.chance(0.2)) {
      const id = BigInt(random.int(6));
      await Promise.all(pair.map((recorder) => recorder.cancel(id)));
      return;
    }
    const request = WatchCreateRequest.create({
      ...this.#make.range(),
      startRevision: this.#make.revision(),
      prevKv: random.chance(0.5),
      fragment: random.chance(0.3),
      filters: random.pick([[], [], [], [0], [1], [0, 1]]),
      watchId: random.chance(0.2) ? BigInt(random.int(30)) : 0n,
    });
    await Promise.all(pair.map((recorder) => recorder.create(request)));
  }

  async #checkpoint(): Promise<void> {
    const all = RangeRequest.create({ key: Buffer.from([0]), rangeEnd: Buffer.from([0]) });
    await this.#both(unary('everything', KV.methods.range, all));
    await this.#both(unary('hash of everything', Maintenance.methods.hashKv, HashKVRequest.create()));
    await this.#compareWatches();
  }

  async #compareWatches(): Promise<void> {
    for (const [first, second] of this.#streams) {
      const { revision } = this.#progress;
      await Promise.all([first.caughtUp(revision), second.caughtUp(revision)]);
      await eventually('equal stories', () => isDeepStrictEqual(first.story(), second.story()), {
        timeoutMs: 3_000,
      }).catch(() => undefined);
      const [etcd, other] = [first.story(), second.story()];
      for (const id of new Set([...Object.keys(etcd), ...Object.keys(other)])) {
        this.#expectEqual(`watch ${id}`, 'its whole story', etcd[id], other[id]);
      }
    }
  }

  #expectEqual(label: string, request: unknown, etcd: unknown, other: unknown): void {
    if (isDeepStrictEqual(etcd, other)) return;
    this.#differences.push({
      seed: this.#seed,
      index: this.#index,
      label,
      request: plain(request),
      etcd,
      other,
    });
  }
}

/** Formats a difference. Of long responses, only the part around the first difference is shown. */
export function describeDifference({ seed, index, label, request, etcd, other }: Difference): string {
  const [a, b] = [etcd, other].map((value) => (value === undefined ? 'nothing' : JSON.stringify(value))) as [
    string,
    string,
  ];
  let at = 0;
  while (at < a.length && a[at] === b[at]) at += 1;
  const from = Math.max(0, at - 200);
  return [
    `seed ${seed}, request ${index}: ${label} ${JSON.stringify(request).slice(0, 1500)}`,
    `  etcd:  ${a.slice(from, at + 300)}`,
    `  other: ${b.slice(from, at + 300)}`,
  ].join('\n');
}
