import { AppliedState } from '../apply/applied-state.ts';
import type { Config } from '../config/config.ts';
import { assert } from '../lib/assert.ts';
import type { SeededRandom } from '../lib/seeded-random.ts';
import { hex } from '../lib/text.ts';
import { Metrics } from '../metrics/metrics.ts';
import type { WatchReceiver } from '../mvcc/watcher.ts';
import type { LogContents } from '../ports/log-store.ts';
import type { LogFields, Logger } from '../ports/logger.ts';
import type { ResumableExport } from '../ports/snapshot.ts';
import { encodeIdentity, type Founding } from '../server/identity.ts';
import type { Member } from '../server/member.ts';
import { WholeMember } from '../server/whole-member.ts';
import { type FileLog, type FileLogOptions } from '../storage/wal/file-log.ts';
import { createLog, logExists, openLog } from '../storage/wal/open-log.ts';
import { type AnsweringPeer, SERVER_VERSION, SimPeerClient } from './peer-client.ts';
import { ObservedLog } from './observed-log.ts';
import { KilledAtStart, SimDisk } from './sim-disk.ts';
import { DurableEngine, SimEngine, type StoreCopy } from './sim-engine.ts';
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
  /** Snapshots in transfer, by the name in their chunks. */
  readonly copies: Map<number, StoreCopy>;
  readonly trace: (line: string) => void;
  /** Called when the simulation has found a violation. */
  readonly fail: (reason: string) => void;
  /** Returns the process that listens at one of these peer URLs. */
  readonly listening: (urls: readonly string[]) => AnsweringPeer | undefined;
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
  /** Whether it listens for members and clients. Before that it opens and possibly checks its data. */
  isServing: boolean;
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
  readonly founding: Founding;
  readonly peerUrls: readonly string[];
}

/** A machine of the simulated cluster: a persistent disk, and processes of the production classes, one at a time. */
export class SimProcess {
  readonly name: string;
  readonly founding: Founding;
  readonly peerUrls: readonly string[];
  readonly #world: World;
  readonly #observer: ProcessObserver;
  readonly #disk: SimDisk;
  readonly #engine = new DurableEngine();
  #run: Run | undefined;
  /** A log that is being closed after a shutdown. */
  #closing: Life | undefined;
  #copies = 0;
  #stuckUntilMs = 0;
  isSlow = false;
  /** Whether the cluster has removed it. */
  isRemoved = false;

  constructor(world: World, { name, founding, peerUrls }: Machine, observer: ProcessObserver) {
    this.#world = world;
    this.#observer = observer;
    this.name = name;
    this.founding = founding;
    this.peerUrls = peerUrls;
    const { time, random, bug } = world;
    this.#disk = new SimDisk({
      time,
      random,
      syncMs: () => this.#syncMs(),
      recycles: bug?.recyclesSegments === true,
    });
  }

  get id(): bigint {
    return this.founding.memberId;
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
  get answering(): AnsweringPeer | undefined {
    const run = this.#serving;
    if (run === undefined) return undefined;
    const { answers } = run.whole;
    return { id: this.id, life: run.life, answers: this.#world.bug?.answers?.(answers) ?? answers };
  }

  get #serving(): Run | undefined {
    return this.#run?.isServing === true ? this.#run : undefined;
  }

  /** Whether it can be started: it does not run, is not being stopped, and is not removed. */
  get canStart(): boolean {
    return this.#run === undefined && this.#closing === undefined && !this.isRemoved;
  }

  get disk(): SimDisk {
    return this.#disk;
  }

  get log(): ObservedLog | undefined {
    return this.#run?.log;
  }

  start(): void {
    assert(this.canStart, 'a process starts when none runs');
    const { time, random, network, config, bug } = this.#world;
    const life: Life = { isOver: false };
    const opened = this.#openLog(life);
    if (opened === undefined) return;
    const { isNew } = opened;
    const syncMs = (): number => this.#syncMs();
    const tamper = bug?.tamperWith?.(random);
    const engine = new SimEngine({ time, life, durable: this.#engine, syncMs, tamper });
    const contents = bug?.misreadsLog?.(opened.contents, new AppliedState(engine)) ?? opened.contents;
    const log = new ObservedLog(opened.log, contents.entries);
    const scheduler = schedulerOf(time, life);
    const logger = this.#logger();
    const received: { copy: StoreCopy | undefined } = { copy: undefined };
    const ends: NetworkEnd[] = [];
    const whole: WholeMember = new WholeMember({
      config: { ...config, name: this.name },
      storage: { engine, log, contents, isNew, space: { hasRoom: true } },
      identity: this.founding,
      founders: this.founding.founders,
      remotes: this.founding.remotes,
      clock: bug?.clock?.(time) ?? time,
      scheduler,
      randomInt: (bound) => random.int(bound),
      logger: () => logger,
      metrics: new Metrics(),
      watchPacing: WATCH_PACING,
      replaceStore: () => this.#replaceStore(life, received),
      serverVersion: SERVER_VERSION,
      client: new SimPeerClient({ id: this.id, life, time, network, find: this.#world.listening }),
      openTransport: (handler) => {
        const transport = network.transport(this.id, life, handler);
        ends.push({ handler, transport });
        return transport;
      },
      snapshots: {
        export: () => Promise.resolve(this.#export(whole.member, engine)),
        membershipData: () => Buffer.alloc(0),
        receive: async (chunks) => {
          for await (const chunk of chunks) received.copy = this.#world.copies.get(chunk.readUInt32BE(0));
        },
        kept: () => 0,
      },
      removed: () => {
        this.#world.trace(`${this.name} was removed`);
        this.isRemoved = true;
        this.crash(false);
      },
    });
    const run: Run = { life, whole, log, isServing: false };
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
        if (!isSound) this.#world.fail(`${this.name} holds other data than its peers when it starts`);
        serve();
      },
      (error: unknown) => {
        if (!life.isOver) this.#world.fail(`${this.name} cannot be checked: ${String(error)}`);
      },
    );
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
    this.#closing = run.life;
    void run.log.close().then(() => {
      if (this.#closing !== run.life) return;
      this.#closing = undefined;
      run.life.isOver = true;
    });
  }

  #kill(life: Life, cutsPower: boolean): void {
    life.isOver = true;
    this.#disk.crash(cutsPower);
    if (cutsPower) this.#engine.cutPower(this.#world.random);
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
        : createLog(options, encodeIdentity(this.founding));
      const { entries, mark } = opened.contents;
      this.#disk.killsAfter = undefined;
      return { ...opened, isNew: entries.length === 0 && mark.index === 0 };
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

  #export(member: Member, engine: SimEngine): ResumableExport {
    const { index, term, confState } = member.applied;
    const name = (Number(this.id & 0xffffn) << 12) | (this.#copies++ & 0xfff);
    this.#world.copies.set(name, engine.copy());
    const chunk = Buffer.alloc(4);
    chunk.writeUInt32BE(name);
    return {
      totalBytes: chunk.length,
      index,
      term,
      confState,
      storageVersion: '3.7.0',
      sha256: undefined,
      read: () => Promise.resolve(undefined),
      chunks: () => oneChunk(chunk),
      isOpen: true,
      from: () => oneChunk(chunk),
      close: () => Promise.resolve(),
    };
  }

  #replaceStore(life: Life, received: { copy: StoreCopy | undefined }): Promise<void> {
    const { copy } = received;
    assert(copy !== undefined, 'what replaces the store was received');
    received.copy = undefined;
    const { time, random } = this.#world;
    return new Promise((resolve) => {
      time.after(random.between(1, 50), () => {
        if (life.isOver) return;
        this.#engine.replace(copy);
        time.after(random.between(1, 20), () => {
          if (!life.isOver) resolve();
        });
      });
    });
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

async function* oneChunk(chunk: Buffer): AsyncGenerator<Buffer> {
  await Promise.resolve();
  yield chunk;
}
