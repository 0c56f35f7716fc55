import type { SeededRandom } from '../lib/seeded-random.ts';
import { RaftRequestField } from '../server/raft-request.ts';
import { PutRequest } from '../wire/gen/etcdserverpb.ts';
import type { SimNetwork } from './network.ts';
import type { SimProcess } from './sim-process.ts';
import type { SimTime } from './time.ts';

export interface SequencesOptions {
  readonly time: SimTime;
  readonly random: SeededRandom;
  readonly network: SimNetwork;
  readonly processes: () => readonly SimProcess[];
  readonly isStopped: () => boolean;
  /** Kills a process, which is not started again by this. */
  readonly kill: (process: SimProcess) => void;
  readonly startLater: (process: SimProcess) => void;
  /** Has the network healed after a while. */
  readonly healLater: () => void;
  readonly say: (line: string) => void;
}

/** A key that no client asks for. */
const WRITE = PutRequest.encode({ ...PutRequest.create(), key: Buffer.from('aside') });
const LOOK_MS = 20;
const ELECTION_MS = 8000;
/** More than a slice that members apply in one turn, and than they keep in the log for those behind. */
const BACKLOG = 200;
const LONG_TAIL = 300;
const RELEASING_WRITES = 130;
const BURST = 50;
const BURST_MS = 50;

/** Troubles in several steps, each of which chance alone would hardly bring about. */
export class Sequences {
  readonly #options: SequencesOptions;

  constructor(options: SequencesOptions) {
    this.#options = options;
  }

  /**
   * Raft, figure 8: a leader dies with entries that nobody else has, and so does the next one; then the first one leads
   * again. Its entries replace some of a higher term in the log of the second one, which is started twice after that.
   */
  figureEight(first: SimProcess | undefined): void {
    if (first?.member === undefined) return;
    const { time, random, network, kill, say } = this.#options;
    say(`${first.name} leads without being heard`);
    const others = this.#others(first);
    for (const { id } of others) network.cut(first.id, id);
    this.#write(first, random.between(1, 5));
    this.#later(random.between(30, 300), () => {
      let second: SimProcess | undefined;
      // Before anything leaves the new leader.
      const elected = (process: SimProcess): void => {
        if (second !== undefined || this.#options.isStopped()) return;
        second = process;
        for (const { id } of this.#others(process)) network.cut(process.id, id);
        this.#later(random.between(5, 60), () => this.#killSecond(first, process));
      };
      for (const other of others)
        other.member?.onLeadership((_lead, isLeader) => {
          if (isLeader) elected(other);
        });
      kill(first);
      time.after(ELECTION_MS, () => {
        if (second === undefined) this.#options.startLater(first);
      });
    });
  }

  #killSecond(first: SimProcess, second: SimProcess): void {
    const { random, network, kill, startLater, say } = this.#options;
    say(`${second.name} leads without being heard`);
    kill(second);
    network.heal();
    if (first.canStart) first.start();
    this.#later(random.between(1500, 4000), () => {
      if (second.canStart) second.start();
      this.#later(random.between(500, 3000), () => {
        kill(second);
        startLater(second);
      });
    });
  }

  /**
   * A leader is cut off with a long tail of its own. The others go on, and forget the entries that it would need: it is
   * sent a snapshot of an index that its log has too. It dies when its store was exchanged, before its log is told.
   */
  leaveBehind(leader: SimProcess | undefined): void {
    if (leader?.member === undefined) return;
    const { network, say, startLater, healLater } = this.#options;
    say(`${leader.name} is left behind with a long log`);
    for (const { id } of this.#others(leader)) {
      network.cut(leader.id, id);
      network.cut(id, leader.id);
    }
    this.#write(leader, LONG_TAIL);
    this.#whenElected(leader, (next) => {
      this.#write(next, RELEASING_WRITES);
      this.#later(1000, () => {
        leader.killAfterExchange(() => startLater(leader));
        network.heal();
      });
    });
    healLater();
  }

  /**
   * A follower does not apply for a while, as its store's disk is full. It is started again, and applies what has come
   * in by then in slices. Amid these the disk is full again, and no leader is heard.
   */
  fillAmidReplay(follower: SimProcess | undefined, leader: SimProcess | undefined): void {
    if (follower?.member === undefined || leader?.member === undefined || follower === leader) return;
    const { random, network, kill, healLater, say } = this.#options;
    say(`${follower.name} has a full disk, and much to apply`);
    const { storeFaults } = follower;
    storeFaults.isFull = true;
    this.#write(leader, BACKLOG);
    this.#later(random.between(600, 1200), () => {
      kill(follower);
      storeFaults.isFull = false;
      storeFaults.isQuota = random.chance(0.5);
      storeFaults.fillAfter(random.between(1, 4), random.between(2000, 6000));
      this.#later(random.between(50, 500), () => {
        if (follower.canStart) follower.start();
        this.#later(random.between(1, 300), () => {
          say(`${follower.name} hears no leader`);
          for (const { id } of this.#others(follower)) network.cut(id, follower.id);
          healLater();
        });
      });
    });
  }

  #others(process: SimProcess): readonly SimProcess[] {
    return this.#options.processes().filter((other) => other !== process);
  }

  #later(delayMs: number, task: () => void): void {
    const { time, isStopped } = this.#options;
    time.after(delayMs, () => {
      if (!isStopped()) task();
    });
  }

  /** In bursts: not all of them in one append. Whether they succeed is no matter. */
  #write(process: SimProcess, count: number): void {
    for (let n = 0; n < Math.min(count, BURST); n += 1)
      process.member?.propose(RaftRequestField.put, WRITE, undefined, {
        settled: () => undefined,
        failed: () => undefined,
      });
    if (count > BURST) this.#later(BURST_MS, () => this.#write(process, count - BURST));
  }

  #whenElected(old: SimProcess, then: (leader: SimProcess) => void, waitedMs = 0): void {
    const leader = this.#others(old).find(({ member }) => member?.isLeader === true);
    if (leader !== undefined) then(leader);
    else if (waitedMs < ELECTION_MS)
      this.#later(LOOK_MS, () => this.#whenElected(old, then, waitedMs + LOOK_MS));
  }
}
