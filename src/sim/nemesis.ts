import type { SeededRandom } from '../lib/seeded-random.ts';
import type { SimNetwork } from './network.ts';
import { Sequences } from './sequences.ts';
import type { SimProcess } from './sim-process.ts';
import type { SimTime } from './time.ts';

export interface NemesisOptions {
  readonly time: SimTime;
  readonly random: SeededRandom;
  readonly network: SimNetwork;
  readonly processes: () => readonly SimProcess[];
  readonly changeMembership: () => void;
  /** The faults include disks that sync nothing for a while. */
  readonly hasStuckDisks: boolean;
  /** Injects no faults and only ends existing ones. */
  readonly isQuiet: boolean;
  readonly trace: (line: string) => void;
}

/** Milliseconds between two faults. */
const REST_MS = { least: 500, most: 12_000 } as const;
const TROUBLE_MS = { least: 50, most: 8_000 } as const;
const FLAPS = 6;
const CLOSING_MS = 2000;
/** Disk faults. */
const CALLS_OF_A_START = 20;
const CALLS_TO_A_FAULT = 60;

/** Injects faults: crashes, partitions, bad networks, slow disks, leader and membership changes. */
export class Nemesis {
  readonly #options: NemesisOptions;
  readonly #sequences: Sequences;
  #stopped = false;

  constructor(options: NemesisOptions) {
    this.#options = options;
    this.#sequences = new Sequences({
      ...options,
      isStopped: () => this.#stopped,
      kill: (process) => this.#killNow(process),
      startLater: (process) => this.#startLater(process),
      healLater: () => this.#heal(),
      say: (line) => this.#say(line),
    });
    if (!options.isQuiet) this.#rest();
  }

  /** Starts no new faults and ends existing ones. */
  stop(): void {
    this.#stopped = true;
    const { time, network } = this.#options;
    network.heal();
    for (const process of this.#options.processes()) {
      process.isSlow = false;
      process.stickDisk(0);
      process.disk.isFull = false;
      process.disk.eio.callsLeft = undefined;
      process.storeFaults.end();
      process.killAfterExchange(undefined);
    }
    this.#startAll();
    // The close of a log takes some time.
    time.after(CLOSING_MS, () => this.#startAll());
  }

  #startAll(): void {
    for (const process of this.#options.processes()) if (process.canStart) process.start();
  }

  #rest(): void {
    const { time, random } = this.#options;
    time.after(random.between(REST_MS.least, REST_MS.most), () => {
      if (this.#stopped) return;
      this.#act();
      this.#rest();
    });
  }

  #act(): void {
    const { random, hasStuckDisks } = this.#options;
    const deeds = [
      ...(hasStuckDisks ? [() => this.#stickDisk(this.#leader()), () => this.#stickDisk(this.#any())] : []),
      () => this.#crash(1),
      () => this.#crash(1),
      () => this.#crashLeader(),
      () => this.#crash(this.#alive().length),
      () => this.#stopCleanly(this.#any()),
      () => this.#failDisk(this.#any()),
      () => this.#fillDisk(this.#any()),
      () => this.#failStore(this.#any()),
      () => this.#fillStore(this.#any()),
      () => this.#sequences.figureEight(this.#leader()),
      () => this.#sequences.leaveBehind(this.#leader()),
      () => this.#sequences.fillAmidReplay(this.#any(), this.#leader()),
      () => this.#isolate(this.#leader()),
      () => this.#isolate(this.#any()),
      () => this.#halve(),
      () => this.#cutOneWay(),
      () => this.#flap(),
      () => this.#closeConnections(this.#leader()),
      () => this.#closeConnections(this.#any()),
      () => this.#storm(),
      () => this.#slowDisk(),
      () => this.#transfer(),
      () => this.#options.changeMembership(),
    ];
    random.pick(deeds)();
  }

  #alive(): SimProcess[] {
    return this.#options.processes().filter(({ isRunning }) => isRunning);
  }

  #any(): SimProcess | undefined {
    const alive = this.#alive();
    return alive.length === 0 ? undefined : this.#options.random.pick(alive);
  }

  #leader(): SimProcess | undefined {
    return this.#alive().find(({ member }) => member?.isLeader === true);
  }

  /** Runs `end` after a while, unless all faults have ended before. */
  #later(end: () => void): void {
    const { time, random } = this.#options;
    time.after(random.between(TROUBLE_MS.least, TROUBLE_MS.most), () => {
      if (!this.#stopped) end();
    });
  }

  #crash(count: number): void {
    const { random } = this.#options;
    for (const process of random.shuffle(this.#alive()).slice(0, count)) this.#kill(process);
  }

  #crashLeader(): void {
    const leader = this.#leader();
    if (leader !== undefined) this.#kill(leader);
  }

  #kill(process: SimProcess): void {
    this.#killNow(process);
    this.#startLater(process);
  }

  #killNow(process: SimProcess): void {
    const cutsPower = this.#options.random.chance(0.5);
    this.#say(`${process.name} ${cutsPower ? 'loses power' : 'is killed'}`);
    process.crash(cutsPower);
  }

  #startLater(process: SimProcess): void {
    this.#later(() => {
      if (!process.canStart) return;
      this.#say(`${process.name} starts`);
      if (this.#options.random.chance(0.2))
        process.disk.kill.callsLeft = this.#options.random.int(CALLS_OF_A_START);
      process.start();
    });
  }

  #stopCleanly(process: SimProcess | undefined): void {
    if (process === undefined) return;
    this.#say(`${process.name} is told to stop`);
    process.stop();
    this.#startLater(process);
  }

  /** Makes one of the next calls fail. */
  #failDisk(process: SimProcess | undefined): void {
    if (process === undefined) return;
    this.#say(`${process.name} has a disk that fails once`);
    process.disk.eio.callsLeft = this.#options.random.int(CALLS_TO_A_FAULT);
  }

  #fillDisk(process: SimProcess | undefined): void {
    if (process === undefined) return;
    this.#say(`${process.name} has a full disk`);
    process.disk.isFull = true;
    this.#later(() => {
      process.disk.isFull = false;
    });
  }

  /** One call of the store to come fails. */
  #failStore(process: SimProcess | undefined): void {
    if (process === undefined) return;
    this.#say(`${process.name} has a store that fails once`);
    process.storeFaults.eio.callsLeft = this.#options.random.int(CALLS_TO_A_FAULT);
  }

  #fillStore(process: SimProcess | undefined): void {
    if (process === undefined) return;
    const { random } = this.#options;
    this.#say(`${process.name} has no room for its store`);
    process.storeFaults.isQuota = random.chance(0.5);
    process.storeFaults.fillAfter(
      random.int(CALLS_TO_A_FAULT),
      random.between(TROUBLE_MS.least, TROUBLE_MS.most),
    );
  }

  #isolate(process: SimProcess | undefined): void {
    if (process === undefined) return;
    this.#say(`${process.name} is cut off`);
    for (const other of this.#options.processes()) this.#cutBoth(process, other);
    this.#heal();
  }

  #closeConnections(process: SimProcess | undefined): void {
    if (process === undefined) return;
    this.#say(`connections of ${process.name} are closed`);
    this.#options.network.closeConnections(process.id);
  }

  #halve(): void {
    const all = this.#options.random.shuffle([...this.#options.processes()]);
    const half = all.splice(0, Math.floor(all.length / 2));
    this.#say(`${half.map(({ name }) => name).join(' ')} are cut from the rest`);
    for (const one of half) for (const other of all) this.#cutBoth(one, other);
    this.#heal();
  }

  #cutOneWay(): void {
    const { network, random, processes } = this.#options;
    const from = this.#any();
    if (from === undefined) return;
    this.#say(`messages of ${from.name} are lost`);
    for (const to of processes()) if (to !== from && random.chance(0.7)) network.cut(from.id, to.id);
    this.#heal();
  }

  #flap(): void {
    const { time, random, network } = this.#options;
    const process = this.#any();
    if (process === undefined) return;
    this.#say(`${process.name} comes and goes`);
    for (let flap = 0; flap < FLAPS; flap += 1) {
      time.after(flap * random.between(200, 1500), () => {
        if (this.#stopped) return;
        if (flap % 2 === 1) network.heal();
        else for (const other of this.#options.processes()) this.#cutBoth(process, other);
      });
    }
    this.#heal();
  }

  #storm(): void {
    const { network, random } = this.#options;
    network.conditions = {
      loss: random.next() * 0.3,
      duplication: random.next() * 0.2,
      reordering: random.next() * 0.3,
      delayMs: random.between(5, 300),
    };
    this.#say(`bad conditions ${JSON.stringify(network.conditions)}`);
    this.#heal();
  }

  #slowDisk(): void {
    const process = this.#any();
    if (process === undefined) return;
    this.#say(`${process.name} has a slow disk`);
    process.isSlow = true;
    this.#later(() => {
      process.isSlow = false;
    });
  }

  #stickDisk(process: SimProcess | undefined): void {
    if (process === undefined) return;
    this.#say(`${process.name} has a disk that is stuck`);
    process.stickDisk(this.#options.random.between(TROUBLE_MS.least, TROUBLE_MS.most));
  }

  #transfer(): void {
    const leader = this.#leader();
    const to = this.#any();
    if (leader?.member === undefined || to === undefined) return;
    this.#say(`${leader.name} hands over to ${to.name}`);
    leader.member.consensus.transferLeader(to.id);
  }

  #cutBoth(one: SimProcess, other: SimProcess): void {
    if (one === other) return;
    this.#options.network.cut(one.id, other.id);
    this.#options.network.cut(other.id, one.id);
  }

  #heal(): void {
    this.#later(() => {
      this.#say('the network is whole');
      this.#options.network.heal();
    });
  }

  #say(line: string): void {
    this.#options.trace(`nemesis: ${line}`);
  }
}
