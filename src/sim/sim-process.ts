import { AppliedState } from '../apply/applied-state.ts';
import type { Config } from '../config/config.ts';
import { assert } from '../lib/assert.ts';
import type { SeededRandom } from '../lib/seeded-random.ts';
import { hex } from '../lib/text.ts';
import { Metrics } from '../metrics/metrics.ts';
import type { WatchReceiver } from '../mvcc/watcher.ts';
import { EngineFullError } from '../ports/engine.ts';
import type { LogContents } from '../ports/log-store.ts';
import type { LogFields, Logger } from '../ports/logger.ts';
import { encodeIdentity, type BootstrapResult } from '../server/identity.ts';
import type { RaftHost } from '../raft-thread/raft-host.ts';
import type { Member } from '../server/member.ts';
import type { ConsensusDriver } from '../server/consensus.ts';
import type { ConsensusOptions } from '../server/start-consensus.ts';
import { WholeMember } from '../server/whole-member.ts';
import { type FileLog, type FileLogOptions } from '../storage/wal/file-log.ts';
import { createLog, logExists, openLog } from '../storage/wal/open-log.ts';
import { type ServingPeer, SERVER_VERSION, SimPeerClient } from './peer-client.ts';
import { ObservedLog } from './observed-log.ts';
import { KilledAtStart, SimDisk } from './sim-disk.ts';
import { MemoryStore } from './sim-engine.ts';
import type { MachineStore, OpenStore, StoreCopy } from './open-store.ts';
import { RocksStore } from './rocks-store.ts';
import { startRaftThread } from './sim-raft-thread.ts';
import { SimSnapshots } from './sim-snapshots.ts';
import type { StoreFaults } from './store-faults.ts';
import type { NetworkEnd, SimNetwork } from './network.ts';
import { type Life, schedulerOf, type SimTime } from './time.ts';
import type { PlantedBug } from './planted/planted-bug.ts';

/** The shared state of all processes of a simulation. */
export interface World {
  readonly time: SimTime;
  readonly random: SeededRandom;
  readonly network: SimNetwork;
  readonly config: Config;
  readonly bug: PlantedBug | undefined;
  /** Stores are of RocksDB, in directories for the time of the simulation. */
  readonly usesRocks: boolean;
  /** Raft has a thread of its own in each process. */
  readonly hasRaftThread: boolean;
  /** Snapshots in transfer, by the name in their chunks. */
  readonly copies: Map<number, StoreCopy>;
  readonly trace: (line: string) => void;
  /** Called when the simulation has found a violation. */
  readonly fail: (reason: string) => void;
  /** Returns the process that listens at one of these peer URLs. */
  readonly listening: (urls: readonly string[]) => ServingPeer | undefined;
}

/** Duration of a sync in milliseconds on a healthy disk and on a slow one. */
const SYNC_MS = 3;
const SLOW_SYNC_MS = 400;
/** About a hundred entries, with so many slices that a segment is often used while it is still being prepared. */
const SEGMENT_BYTES = 16 << 10;
const SLICE_BYTES = 64;
const LOG_DIRECTORY = '/member/wal';
/** So small that deliveries pause and the history is read in several steps. */
const WATCH_PACING = { responsesPerPauseMs: 1, stepChanges: 4 } as const;
/** Fraction of restarts with an initial corruption check. */
const INITIAL_CHECKS = 0.3;
/** Time until a process whose disk failed is restarted. */
const RESTART_MS = 1000;

/** One process of a member, from its start to its end. */
interface Run {
  readonly life: Life;
  readonly whole: WholeMember;
  readonly log: ObservedLog;
  readonly store: OpenStore;
  /** Raft in a thread of its own. */
  readonly raft: RaftHost | undefined;
  /** Whether it listens for members and clients. Before that it opens and possibly checks its data. */
  isServing: boolean;
}

/** What a member is made of. */
interface MemberParts {
  readonly life: Life;
  readonly store: OpenStore;
  readonly log: ObservedLog;
  readonly contents: LogContents;
  readonly isNew: boolean;
  /** Ends of the network that it opens. */
  readonly ends: NetworkEnd[];
}

/** Observes the starts and ends of a process. */
export interface ProcessObserver {
  /** Called for a new process that has done nothing yet. */
  readonly started: () => void;
  readonly crashed: () => void;
}

/** The member of a machine. */
export interface Machine {
  readonly name: string;
  readonly bootstrapped: BootstrapResult;
  readonly peerUrls: readonly string[];
}

/** A machine of the simulated cluster: a persistent disk, and processes of the production classes, one at a time. */
export class SimProcess {
  readonly name: string;
  readonly bootstrapped: BootstrapResult;
  readonly peerUrls: readonly string[];
  readonly #world: World;
  readonly #observer: ProcessObserver;
  readonly #disk: SimDisk;
  readonly #store: MachineStore;
  #run: Run | undefined;
  /** A log that is being closed after a shutdown. */
  #closing: Life | undefined;
  /** Its store is being opened. */
  #opening: Life | undefined;
  #killAfterExchange: (() => void) | undefined;
  #stuckUntilMs = 0;
  isSlow = false;
  /** Whether the cluster has removed it. */
  isRemoved = false;

  constructor(world: World, { name, bootstrapped, peerUrls }: Machine, observer: ProcessObserver) {
    this.#world = world;
    this.#observer = observer;
    this.name = name;
    this.bootstrapped = bootstrapped;
    this.peerUrls = peerUrls;
    const { time, random, bug } = world;
    const machine = { time, random, syncMs: () => this.#syncMs() };
    this.#disk = new SimDisk({ ...machine, recycles: bug?.recyclesSegments === true });
    this.#store = world.usesRocks
      ? new RocksStore(machine)
      : new MemoryStore(machine, bug?.tamperWith?.(random));
  }

  get id(): bigint {
    return this.bootstrapped.memberId;
  }

  get isRunning(): boolean {
    return this.#serving !== undefined;
  }

  get whole(): WholeMember | undefined {
    return this.#serving?.whole;
  }

  get member(): Member | undefined {
    return this.whole?.member;
  }

  /** Serves requests of other members. */
  get answering(): ServingPeer | undefined {
    const run = this.#serving;
    if (run === undefined) return undefined;
    const service = run.whole.peerService;
    return { id: this.id, life: run.life, service: this.#world.bug?.service?.(service) ?? service };
  }

  get #serving(): Run | undefined {
    return this.#run?.isServing === true ? this.#run : undefined;
  }

  /** Whether it can be started: it does not run, is not being stopped, and is not removed. */
  get canStart(): boolean {
    return [this.#run, this.#closing, this.#opening].every((one) => one === undefined) && !this.isRemoved;
  }

  get disk(): SimDisk {
    return this.#disk;
  }

  /** What is wrong with its store. */
  get storeFaults(): StoreFaults {
    return this.#store.faults;
  }

  get log(): ObservedLog | undefined {
    return this.#run?.log;
  }

  start(): void {
    assert(this.canStart, 'a process starts when none runs');
    const life: Life = { isOver: false };
    const user = { life, onFailure: (error: Error) => this.#diskFailed(life, error) };
    const opened = this.#store.open(user);
    if (!(opened instanceof Promise)) {
      this.#startOn(life, opened);
      return;
    }
    const { time } = this.#world;
    this.#opening = life;
    let store: OpenStore | undefined;
    time.hold(
      opened.then((ready) => {
        store = ready;
      }),
    );
    // In the order of the starts, whichever store is open first: time stands still until all of them are.
    time.after(0, () => {
      this.#opening = undefined;
      assert(store !== undefined, 'a store is open when time goes on');
      this.#startOn(life, store);
    });
  }

  #startOn(life: Life, store: OpenStore): void {
    const { random, network, bug, fail } = this.#world;
    const opened = this.#openLog(life);
    if (opened === undefined) return;
    const { isNew } = opened;
    const contents = bug?.misreadsLog?.(opened.contents, new AppliedState(store)) ?? opened.contents;
    const log = new ObservedLog(opened.log, contents.entries);
    const ends: NetworkEnd[] = [];
    let made: { readonly whole: WholeMember; readonly raft: RaftHost | undefined };
    try {
      made = this.#makeMember({ life, store, log, contents, isNew, ends });
    } catch (error) {
      // A store that cannot be written ends the start of a server.
      const isFull = error instanceof EngineFullError;
      if (isFull || life.isOver) this.#diskFailed(life, error as Error);
      else fail(`${this.name} cannot start: ${String(error)}`);
      return;
    }
    // Its disk has failed in the background, and it will be started again.
    if (life.isOver) return;
    const { whole } = made;
    const run: Run = { life, ...made, log, store, isServing: false };
    this.#run = run;
    const serve = (): void => {
      run.isServing = true;
      for (const end of ends) network.attach(this.id, life, end);
      this.#observer.started();
      whole.connect();
      if (life.isOver) return;
      whole.start();
      bug?.disables?.(whole);
    };
    if (isNew || !random.chance(INITIAL_CHECKS)) {
      serve();
      return;
    }
    whole.checkInitially().then(
      (isSound) => {
        if (life.isOver) return;
        if (!isSound) fail(`${this.name} holds other data than its peers when it starts`);
        serve();
      },
      (error: unknown) => {
        if (!life.isOver) fail(`${this.name} cannot be checked: ${String(error)}`);
      },
    );
  }

  #makeMember(parts: MemberParts): { readonly whole: WholeMember; readonly raft: RaftHost | undefined } {
    const { time, random, network, config, bug, copies, hasRaftThread } = this.#world;
    const { life, store, log, contents, isNew, ends } = parts;
    const logger = this.#logger();
    const { faults } = this.#store;
    const space = {
      get hasRoom(): boolean {
        return faults.hasRoom;
      },
    };
    const snapshots = new SimSnapshots({ store, faults, copies });
    let raft: RaftHost | undefined;
    const startConsensus = (options: ConsensusOptions): ConsensusDriver => {
      const { driver, host } = startRaftThread({ time, random, life }, options);
      raft = host;
      return driver;
    };
    const whole = new WholeMember({
      ...(hasRaftThread ? { startConsensus } : {}),
      config: { ...config, name: this.name },
      storage: { engine: store, log, contents, isNew, space },
      identity: this.bootstrapped,
      initialMembers: this.bootstrapped.initialMembers,
      remotes: this.bootstrapped.remotes,
      clock: bug?.clock?.(time) ?? time,
      scheduler: schedulerOf(time, life),
      randomInt: (bound) => bug?.randomInt?.(bound, this.name) ?? random.int(bound),
      logger: () => logger,
      metrics: new Metrics(),
      watchPacing: WATCH_PACING,
      replaceStore: async () => {
        await snapshots.replaceStore();
        if (!life.isOver) this.#exchanged(life);
      },
      serverVersion: SERVER_VERSION,
      client: new SimPeerClient({ id: this.id, life, time, network, find: this.#world.listening }),
      openTransport: (handler) => {
        const transport = network.transport(this.id, life, handler);
        ends.push({ handler, transport });
        return transport;
      },
      snapshots,
      removed: () => {
        this.#world.trace(`${this.name} was removed`);
        this.isRemoved = true;
        this.crash(false);
      },
    });
    return { whole, raft };
  }

  /** The next store received is put in place, and then the process dies before its log knows, or just after. */
  killAfterExchange(killed: (() => void) | undefined): void {
    this.#killAfterExchange = killed;
  }

  #exchanged(life: Life): void {
    const killed = this.#killAfterExchange;
    if (killed === undefined) return;
    this.#killAfterExchange = undefined;
    const { time, random, trace } = this.#world;
    time.after(random.next() * SYNC_MS, () => {
      if (life.isOver) return;
      trace(`${this.name} is killed after the exchange of its store`);
      this.crash(random.chance(0.5));
      killed();
    });
  }

  /** Sets the minimum duration of syncs from now on. */
  stickDisk(durationMs: number): void {
    this.#stuckUntilMs = this.#world.time.now() + durationMs;
  }

  /** Kills the process. @param cutsPower also loses unsynced data */
  crash(cutsPower: boolean): void {
    const run = this.#run;
    if (run === undefined) return;
    this.#run = undefined;
    this.#observer.crashed();
    this.#kill(run.life, cutsPower);
    this.#leave(run);
  }

  /** The simulation is over. */
  async end(): Promise<void> {
    this.crash(false);
    if (this.#store instanceof RocksStore) await this.#store.remove();
  }

  /** Shuts the process down: it transfers its leadership and closes its log before it ends. */
  stop(): void {
    const run = this.#run;
    if (run === undefined) return;
    void run.whole.transferLeadership().then(() => {
      if (this.#run === run) this.#close(run);
    });
  }

  #close(run: Run): void {
    this.#run = undefined;
    this.#observer.crashed();
    this.#leave(run);
    run.raft?.stop();
    this.#closing = run.life;
    void run.log.close().then(() => {
      if (this.#closing !== run.life) return;
      run.life.isOver = true;
      this.#store.crash(false);
      this.#closing = undefined;
    });
  }

  #kill(life: Life, cutsPower: boolean): void {
    life.isOver = true;
    this.#disk.crash(cutsPower);
    this.#store.crash(cutsPower);
  }

  #leave(run: Run): void {
    run.whole.stop();
    this.#world.network.detach(this.id);
  }

  #syncMs(): number {
    const { time, random } = this.#world;
    const usual = random.next() * (this.isSlow && random.chance(0.3) ? SLOW_SYNC_MS : SYNC_MS);
    return Math.max(0, this.#stuckUntilMs - time.now()) + 0.1 + usual;
  }

  /** Starts like the server. Returns undefined if the disk failed or the process was killed during the start. */
  #openLog(life: Life): { log: FileLog; contents: LogContents; isNew: boolean } | undefined {
    const { bug, fail } = this.#world;
    const disk = this.#disk.open(life);
    const options: FileLogOptions = {
      directory: LOG_DIRECTORY,
      segmentBytes: SEGMENT_BYTES,
      sliceBytes: SLICE_BYTES,
      disk,
      onFailure: (error) => this.#diskFailed(life, error),
    };
    const { faults } = this.#disk;
    try {
      bug?.refusesLog?.(LOG_DIRECTORY, disk);
      const opened = logExists(LOG_DIRECTORY, disk)
        ? openLog(options)
        : createLog(options, encodeIdentity(this.bootstrapped));
      const { entries, snapshot } = opened.contents;
      this.#disk.kill.callsLeft = undefined;
      return { ...opened, isNew: entries.length === 0 && snapshot.index === 0 };
    } catch (error) {
      if (error instanceof KilledAtStart || this.#disk.faults > faults)
        this.#diskFailed(life, error as Error);
      else fail(`${this.name} cannot start: ${String(error)}`);
      return undefined;
    }
  }

  /** Ends the process, as the server would, and starts it again. */
  #diskFailed(life: Life, error: Error): void {
    const { time, trace, random } = this.#world;
    if (life.isOver) return;
    trace(`${this.name} ends: ${error.message}`);
    const run = this.#run;
    this.#run = undefined;
    this.#closing = undefined;
    this.#kill(life, random.chance(0.3));
    if (run !== undefined) {
      this.#observer.crashed();
      this.#leave(run);
    }
    time.after(RESTART_MS, () => {
      if (this.canStart) this.start();
    });
  }

  /** Watches a prefix. @returns a function that ends the watch */
  watch(prefix: Buffer, startRevision: number, receiver: WatchReceiver): () => void {
    const { hub } = this.#running;
    const end = Buffer.from(prefix);
    end[end.length - 1] = (end[end.length - 1] ?? 0) + 1;
    const outlet = hub.open();
    const options = { startRevision, prevKv: false, noPut: false, noDelete: false };
    const watcher = hub.watch({ ...options, range: { start: prefix, end, single: false } }, outlet, receiver);
    return () => {
      if (this.#run?.whole.member.hub !== hub) return;
      hub.remove(watcher);
      hub.close(outlet);
    };
  }

  get #running(): Member {
    const { member } = this;
    assert(member !== undefined, 'only a process that runs is asked');
    return member;
  }

  #logger(): Logger {
    const line =
      (level: string) =>
      (message: string, fields?: LogFields): void =>
        this.#world.trace(
          `${this.name}/${hex(this.id).slice(0, 4)} ${level} ${message}${fields === undefined ? '' : ` ${JSON.stringify(fields, plain)}`}`,
        );
    const nothing = (): void => undefined;
    return { debug: nothing, info: line('info'), warn: line('warn'), error: line('error') };
  }
}

function plain(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? hex(value) : value;
}
