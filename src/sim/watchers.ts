import type { SeededRandom } from '../lib/seeded-random.ts';
import type { WatchReceiver } from '../mvcc/watcher.ts';
import { EventEventType } from '../wire/gen/mvccpb.ts';
import { WatchResponse } from '../wire/gen/etcdserverpb.ts';
import type { Watching } from './checkers/watch-order.ts';
import type { PlantedBug } from './planted/planted-bug.ts';
import type { SimProcess } from './sim-process.ts';
import type { SimTime } from './time.ts';

const PREFIXES = ['k', 'k1', 'lease'];
const RESUME_MS = 300;
/** Time that a client stays with one member before it switches without a reason. */
const STAY_MS = 20_000;

export interface WatchersOptions {
  readonly time: SimTime;
  readonly random: SeededRandom;
  readonly count: number;
  readonly processes: () => readonly SimProcess[];
  readonly bug: PlantedBug | undefined;
}

/** Clients that watch, and continue at another member if theirs does not answer. */
export class Watchers {
  readonly all: Watching[] = [];
  /** Active watches by client. */
  readonly #current = new Map<number, Watching>();
  readonly #options: WatchersOptions;

  constructor(options: WatchersOptions) {
    this.#options = options;
    for (let count = 0; count < options.count; count += 1)
      this.#begin(count, { prefix: PREFIXES[count % PREFIXES.length] ?? 'k', startRevision: 2, seen: [] });
  }

  get current(): Iterable<Watching> {
    return this.#current.values();
  }

  #begin(client: number, watching: Watching): void {
    this.all.push(watching);
    this.#current.set(client, watching);
    this.#resume(client, watching);
  }

  #resume(client: number, watching: Watching): void {
    const { time, random, processes, bug } = this.#options;
    const running = processes().filter(({ member }) => member?.isReopening === false);
    if (running.length === 0) {
      time.after(RESUME_MS, () => this.#resume(client, watching));
      return;
    }
    const process = random.pick(running);
    const { member } = process;
    const last = watching.seen.at(-1)?.revision;
    let isOver = false;
    const receiver: WatchReceiver = {
      deliver: (batch) => {
        if (!isOver) note(watching, batch.fields);
        return true;
      },
      compacted: (compactRevision) => {
        if (isOver) return;
        isOver = true;
        this.#begin(client, { prefix: watching.prefix, startRevision: compactRevision, seen: [] });
      },
    };
    const through = bug?.watchThrough?.(receiver, random) ?? receiver;
    const start = last === undefined ? watching.startRevision : last + 1;
    const stop = process.watch(Buffer.from(watching.prefix), start, through);
    const leaveAt = time.now() + random.next() * STAY_MS;
    const look = (): void => {
      if (isOver) return;
      if (process.member === member && time.now() < leaveAt) {
        time.after(RESUME_MS, look);
        return;
      }
      isOver = true;
      stop();
      this.#resume(client, watching);
    };
    time.after(RESUME_MS, look);
  }
}

function note({ seen }: Watching, fields: readonly Buffer[]): void {
  for (const { type, kv } of WatchResponse.decode(Buffer.concat(fields)).events) {
    if (kv === undefined) continue;
    const value = type === EventEventType.DELETE ? undefined : kv.value.toString();
    seen.push({ revision: kv.modRevision, key: kv.key.toString(), value });
  }
}
