import { AppliedState } from '../apply/applied-state.ts';
import type { Config } from '../config/config.ts';
import { assert } from '../lib/assert.ts';
import type { SeededRandom } from '../lib/seeded-random.ts';
import { formatId } from '../membership/member.ts';
import { Metrics } from '../metrics/metrics.ts';
import type { WatchReceiver } from '../mvcc/watcher.ts';
import type { LogContents } from '../ports/log-store.ts';
import type { LogFields, Logger } from '../ports/logger.ts';
import type { PeerTransport } from '../ports/peer-transport.ts';
import type { Scheduler } from '../ports/scheduler.ts';
import type { ResumableExport } from '../ports/snapshot.ts';
import type { Message } from '../raft/types.ts';
import { encodeIdentity, type Founding } from '../server/identity.ts';
import { LeaseKeeper } from '../server/lease-keeper.ts';
import { Member } from '../server/member.ts';
import { Memberships } from '../server/memberships.ts';
import { PeerLink } from '../server/peer-link.ts';
import { Publisher } from '../server/publisher.ts';
import { StuckLog } from '../server/stuck-log.ts';
import { type FileLog, type FileLogOptions } from '../storage/wal/file-log.ts';
import { createLog, logExists, openLog } from '../storage/wal/open-log.ts';
import { ObservedLog } from './observed-log.ts';
import { KilledAtStart, SimDisk } from './sim-disk.ts';
import { DurableEngine, SimEngine, type StoreCopy } from './sim-engine.ts';
import type { SimNetwork } from './network.ts';
import { type Life, schedulerOf, type SimTime } from './time.ts';
import type { PlantedBug } from './planted/planted-bug.ts';

/** What all processes of a simulation share. */
export interface World {
  readonly time: SimTime;
  readonly random: SeededRandom;
  readonly network: SimNetwork;
  readonly config: Config;
  readonly bug: PlantedBug | undefined;
  /** Snapshots on their way, as chunks name them. */
  readonly copies: Map<number, StoreCopy>;
  readonly trace: (line: string) => void;
  /** The simulation has found something wrong. */
  readonly fail: (reason: string) => void;
  /** A process that runs now. */
  readonly process: (id: bigint) => SimProcess | undefined;
}

/** Milliseconds that a sync takes on a disk in good order, and on one in trouble. */
const SYNC_MS = 3;
const SLOW_SYNC_MS = 400;
/** About a hundred entries, and so many slices that a segment is often begun while it is still being prepared. */
const SEGMENT_BYTES = 16 << 10;
const SLICE_BYTES = 64;
const LOG_DIRECTORY = '/member/wal';
/** Until a process whose disk failed is started again. */
const RESTART_MS = 1000;

/** One run of a member's process, from its start to its crash. */
interface Run {
  readonly life: Life;
  readonly member: Member;
  readonly memberships: Memberships;
  readonly link: PeerLink;
  readonly log: ObservedLog;
  readonly transport: PeerTransport;
  readonly parts: readonly { stop(): void }[];
}

/** Who looks on. */
export interface ProcessObserver {
  /** A process was made and has done nothing yet. */
  readonly started: () => void;
  readonly crashed: () => void;
}

/** A machine of the simulated cluster: a disk that stays, and a process of the production classes that comes and goes. */
export class SimProcess {
  readonly name: string;
  readonly founding: Founding;
  readonly #world: World;
  readonly #observer: ProcessObserver;
  readonly #disk: SimDisk;
  readonly #engine = new DurableEngine();
  #run: Run | undefined;
  /** A log that is being closed after its process was told to stop. */
  #closing: Life | undefined;
  #copies = 0;
  #stuckUntilMs = 0;
  isSlow = false;
  /** The cluster has removed it. */
  isRemoved = false;

  constructor(world: World, name: string, founding: Founding, observer: ProcessObserver) {
    this.#world = world;
    this.#observer = observer;
    this.name = name;
    this.founding = founding;
    const { time, random, bug } = world;
    this.#disk = new SimDisk({
      ...{ time, random },
      syncMs: () => this.#syncMs(),
      recycles: bug?.recyclesSegments === true,
    });
  }

  get id(): bigint {
    return this.founding.memberId;
  }

  get isRunning(): boolean {
    return this.#run !== undefined;
  }

  get member(): Member | undefined {
    return this.#run?.member;
  }

  get memberships(): Memberships | undefined {
    return this.#run?.memberships;
  }

  /** It neither runs nor is it being stopped or removed. */
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
    const outbox: { link: PeerLink | undefined } = { link: undefined };
    const member = new Member({
      config: { ...config, name: this.name },
      storage: {
        ...{ engine, log, contents, isNew },
        space: { hasRoom: true },
      },
      identity: this.founding,
      founders: this.founding.founders,
      clock: time,
      scheduler,
      randomInt: (bound) => random.int(bound),
      logger: () => logger,
      metrics: new Metrics(),
      replaceStore: () => this.#replaceStore(life, received),
      send: (messages: readonly Message[]) => outbox.link?.send(messages),
    });
    const transport = network.attach(this.id, life, {
      onMessages: (messages) => outbox.link?.onMessages(messages),
      isIdRemoved: (id) => outbox.link?.isIdRemoved(id) ?? false,
      reportUnreachable: (id) => outbox.link?.reportUnreachable(id),
      reportSnapshot: (id, ok) => outbox.link?.reportSnapshot(id, ok),
      onSnapshot: (message, chunks, part) => {
        assert(outbox.link !== undefined, 'a process listens once it is whole');
        return outbox.link.onSnapshot(message, chunks, part);
      },
      keptOfSnapshot: () => 0,
      onConnectionClosed: (id) => outbox.link?.onConnectionClosed(id),
      onRemoved: () => outbox.link?.onRemoved(),
    });
    const link = new PeerLink({
      member,
      transport,
      exportSnapshot: () => Promise.resolve(this.#export(member, engine)),
      membershipData: () => Buffer.alloc(0),
      receiveSnapshot: async (chunks) => {
        for await (const chunk of chunks) received.copy = this.#world.copies.get(chunk.readUInt32BE(0));
      },
      keptOfSnapshot: () => 0,
      removed: () => {
        this.#world.trace(`${this.name} was removed`);
        this.isRemoved = true;
        this.crash(false);
      },
      logger,
    });
    outbox.link = link;
    const memberships = new Memberships({
      member,
      peers: transport,
      client: {
        cluster: () => Promise.reject(new Error('nobody is asked')),
        promote: (_urls, id) => this.#promoteAtLeader(member, id),
      },
      logger,
    });
    member.hub.onBacklog = () => scheduler.soon(() => this.#readBacklog(member, scheduler));
    member.hub.onPause = (pauseMs) => void scheduler.after(pauseMs, () => member.hub.flush());
    const parts = [
      new Publisher(member, logger),
      new LeaseKeeper(member, logger),
      new StuckLog(member, transport, logger),
    ];
    this.#run = { life, member, memberships, link, log, transport, parts };
    for (const { id, peerUrls } of this.founding.remotes) transport.addRemote(id, peerUrls);
    this.#observer.started();
    link.connectAll();
    member.start();
  }

  /** Syncs that begin from now on end after that time at the earliest. */
  stickDisk(durationMs: number): void {
    this.#stuckUntilMs = this.#world.time.now() + durationMs;
  }

  /** The process dies at once. @param cutsPower and takes along what its disk had not synced */
  crash(cutsPower: boolean): void {
    const run = this.#run;
    if (run === undefined) return;
    this.#run = undefined;
    this.#observer.crashed();
    this.#kill(run.life, cutsPower);
    this.#leave(run);
  }

  /** The process is told to stop, and closes its log before it ends. */
  stop(): void {
    const run = this.#run;
    if (run === undefined) return;
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
    for (const part of run.parts) part.stop();
    run.transport.stop();
    run.member.stop();
    this.#world.network.detach(this.id);
  }

  #syncMs(): number {
    const { time, random } = this.#world;
    const usual = random.next() * (this.isSlow && random.chance(0.3) ? SLOW_SYNC_MS : SYNC_MS);
    return Math.max(0, this.#stuckUntilMs - time.now()) + 0.1 + usual;
  }

  /** As the server does. Undefined when the disk failed, or the process was killed meanwhile. */
  #openLog(life: Life): { log: FileLog; contents: LogContents; isNew: boolean } | undefined {
    const { bug, fail } = this.#world;
    const disk = this.#disk.open(life);
    const options: FileLogOptions = {
      ...{ directory: LOG_DIRECTORY, segmentBytes: SEGMENT_BYTES, sliceBytes: SLICE_BYTES, disk },
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

  /** The process ends, as the server's would, and is started again. */
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

  /** Watches a prefix. @returns what ends it */
  watch(prefix: Buffer, startRevision: number, receiver: WatchReceiver): () => void {
    const { hub } = this.#running;
    const end = Buffer.from(prefix);
    end[end.length - 1] = (end[end.length - 1] ?? 0) + 1;
    const outlet = hub.open();
    const options = { startRevision, prevKv: false, noPut: false, noDelete: false };
    const watcher = hub.watch({ ...options, range: { start: prefix, end, single: false } }, outlet, receiver);
    return () => {
      if (this.#run?.member.hub !== hub) return;
      hub.remove(watcher);
      hub.close(outlet);
    };
  }

  get #running(): Member {
    assert(this.#run !== undefined, 'only a process that runs is asked');
    return this.#run.member;
  }

  #readBacklog(member: Member, scheduler: Scheduler): void {
    const again = (): void => scheduler.soon(() => this.#readBacklog(member, scheduler));
    if (member.isReopening) member.whenOpen(again);
    else if (member.hub.step()) again();
  }

  #export(member: Member, engine: SimEngine): ResumableExport {
    const { index, term, confState } = member.applied;
    const name = (Number(this.id & 0xffffn) << 12) | (this.#copies++ & 0xfff);
    this.#world.copies.set(name, engine.copy());
    const chunk = Buffer.alloc(4);
    chunk.writeUInt32BE(name);
    return {
      ...{ totalBytes: chunk.length, index, term, confState, storageVersion: '3.7.0', sha256: undefined },
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

  #promoteAtLeader(member: Member, id: bigint) {
    const { network, process } = this.#world;
    const leader = process(member.consensus.lead);
    if (leader?.memberships === undefined || network.activeSince(this.id, leader.id) === undefined)
      return Promise.reject(new Error('the leader cannot be reached'));
    return leader.memberships.promoteHere(id);
  }

  #logger(): Logger {
    const line =
      (level: string) =>
      (message: string, fields?: LogFields): void =>
        this.#world.trace(
          `${this.name}/${formatId(this.id).slice(0, 4)} ${level} ${message}${fields === undefined ? '' : ` ${JSON.stringify(fields, plain)}`}`,
        );
    const nothing = (): void => undefined;
    return { debug: nothing, info: line('info'), warn: line('warn'), error: line('error') };
  }
}

function plain(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? formatId(value) : value;
}

async function* oneChunk(chunk: Buffer): AsyncGenerator<Buffer> {
  await Promise.resolve();
  yield chunk;
}
