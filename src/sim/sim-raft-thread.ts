import type { SeededRandom } from '../lib/seeded-random.ts';
import { RaftHost } from '../raft-thread/raft-host.ts';
import { startRemoteRaft } from '../raft-thread/start-remote-raft.ts';
import type { ConsensusDriver } from '../server/consensus.ts';
import type { ConsensusOptions } from '../server/start-consensus.ts';
import { startRaft } from '../server/start-raft.ts';
import { type Life, schedulerOf, type SimTime, whileAlive } from './time.ts';

/** Milliseconds that a batch is on its way to the other thread: mostly few, but that thread may be busy or stalled. */
const USUAL_MS = 1;
const BUSY_MS = 30;
const STALLED_MS = 700;
const BUSY = 0.03;
const STALLED = 0.001;

interface Threads {
  readonly time: SimTime;
  readonly random: SeededRandom;
  readonly life: Life;
}

/** The way from one thread to the other. Batches arrive in order, and not at all once the process is over. */
class Channel {
  readonly #threads: Threads;
  readonly #receive: (batch: ArrayBuffer) => void;
  #lastMs = 0;

  constructor(threads: Threads, receive: (batch: ArrayBuffer) => void) {
    this.#threads = threads;
    this.#receive = receive;
  }

  post(batch: ArrayBuffer): void {
    const { time, life } = this.#threads;
    this.#lastMs = Math.max(this.#lastMs, time.now() + this.#delayMs());
    time.after(
      this.#lastMs - time.now(),
      whileAlive(life, () => this.#receive(batch)),
    );
  }

  #delayMs(): number {
    const { random } = this.#threads;
    const most = random.chance(STALLED) ? STALLED_MS : random.chance(BUSY) ? BUSY_MS : USUAL_MS;
    return random.next() * most;
  }
}

/** Starts raft as in a thread of its own. */
export function startRaftThread(
  threads: Threads,
  options: ConsensusOptions,
): { readonly driver: ConsensusDriver; readonly host: RaftHost } {
  const { time, life } = threads;
  const { config, storage, logger } = options;
  const toRaft = new Channel(threads, (batch) => host.receive(batch));
  const toMember = new Channel(threads, (batch) => driver.receive(batch));
  const host = new RaftHost({
    ...startRaft(options),
    log: storage.log,
    scheduler: schedulerOf(time, life),
    catchupBytes: config.catchupBytes,
    logger,
    post: (batch) => toMember.post(batch),
  });
  const driver = startRemoteRaft(options, { post: (batch) => toRaft.post(batch) });
  return { driver, host };
}
