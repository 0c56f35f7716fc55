import type { Config } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import { SeededRandom } from '../lib/seeded-random.ts';
import { HashJob, hashScope } from '../mvcc/hash.ts';
import type { Entry } from '../raft/types.ts';
import { AlarmType } from '../wire/gen/etcdserverpb.ts';
import { type BootstrapResult, bootstrapNewCluster } from '../server/identity.ts';
import { EMPTY } from '../wire/reader.ts';
import { checkHistory } from './checkers/client-history.ts';
import { CommittedHistory } from './checkers/committed-history.ts';
import { periodicTaskFault } from './checkers/periodic-task-results.ts';
import { USAGE_PREFIXES, usageResultFault } from './checkers/usage-results.ts';
import { checkAllSeen, checkWatch } from './checkers/watch-order.ts';
import { Clients } from './clients.ts';
import { Nemesis } from './nemesis.ts';
import { SimNetwork } from './network.ts';
import type { Partition } from './partitions.ts';
import type { PlantedBug } from './planted/planted-bug.ts';
import { type Machine, SimProcess, type World } from './sim-process.ts';
import { SimTime } from './time.ts';
import { Watchers } from './watchers.ts';

export interface SimulationOptions {
  readonly seed: number;
  /** Number of initial members, 3 or 5. */
  readonly members: number;
  /** Simulated time with faults. */
  readonly minutes: number;
  readonly bug?: PlantedBug;
  /** Differences from the default configuration. */
  readonly settings?: Partial<Config>;
  /** The faults include disks that sync nothing for a while. */
  readonly stuckDisks?: boolean;
  /** Stores are of RocksDB; otherwise they are in memory. */
  readonly rocks?: boolean;
  /** Raft has a thread of its own in each process. */
  readonly raftThread?: boolean;
  /** Repeats only this fault instead of random ones. */
  readonly partition?: Partition;
}

export interface SimulationResult {
  /** Undefined if there was no violation. */
  readonly failure: string | undefined;
  readonly trace: readonly string[];
  readonly operations: number;
  readonly answered: number;
  readonly revisions: number;
  readonly leaders: number;
  readonly crashes: number;
  /** For each partition: milliseconds after its end until a write has succeeded through each member. */
  readonly backAfterMs: readonly number[];
}

const CLIENTS = 5;
const WATCHERS = 4;
/** Entries between two releases of the log: few, so that slow members need snapshots. */
const SNAPSHOT_COUNT = 60;
const CATCHUP_ENTRIES = 30;
const CATCHUP_BYTES = 64 << 10;
/** Time after all faults in which the members must have the same data and accept writes. */
const HEALING_MS = 20_000;
/** Members with the same data may differ for that long, while an entry travels. */
const SETTLING_MS = 1000;
const STEP_MS = 250;
const TRACE_LINES = 400;
const PARTITIONS = 3;
const QUIET_MS = 4000;
const PARTITION_ROUNDS = 12;
const PARTITION_ROUND_MS = 400;
const BACK_STEP_MS = 10;
const MAX_MEMBERS = 5;
/** Short intervals, so that auto compaction, corruption checks and lease expiry run many times in a simulation. */
const RETENTION_MS = 10_000;
const CORRUPT_CHECK_MS = 7_000;
const COMPACT_HASH_CHECK_MS = 5_000;
const CLUSTER_VERSION = '3.7';

let baseConfig: Promise<Config> | undefined;

async function loadBaseConfig(): Promise<Config> {
  const loaded = await loadConfig({ args: [], environment: {} });
  if (loaded.kind !== 'ready') throw new Error('the default configuration is a valid one');
  return loaded.config;
}

/**
 * Simulates one cluster from one seed: members with the production classes on simulated machines, clients, faults, and a
 * quiet period at the end. For every seed, no acknowledged data may be lost, and all members and clients must see the same
 * history.
 */
export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const config = await (baseConfig ??= loadBaseConfig());
  // Simulated time never waits for real events. This lets other tasks of the process run in between.
  await new Promise((resolve) => setImmediate(resolve));
  const simulation = new Simulation(options, config);
  return simulation.run();
}

class Simulation {
  readonly #options: SimulationOptions;
  readonly #time = new SimTime();
  readonly #random: SeededRandom;
  readonly #network: SimNetwork;
  readonly #processes: SimProcess[] = [];
  readonly #committed = new CommittedHistory();
  readonly #entries: (Entry | undefined)[] = [];
  readonly #leaders = new Map<number, bigint>();
  readonly #trace: string[] = [];
  readonly #world: World;
  readonly #bootstrapped: BootstrapResult;
  #failure: string | undefined;
  /** Whether a member has raised the CORRUPT alarm. */
  #hasAlarmed = false;
  #clients: Clients | undefined;
  #joined = 0;
  #crashes = 0;
  readonly #backAfterMs: number[] = [];

  constructor(options: SimulationOptions, base: Config) {
    this.#options = options;
    this.#random = new SeededRandom(options.seed);
    this.#network = new SimNetwork(this.#time, new SeededRandom(options.seed ^ 0x5eed));
    this.#network.intercept = options.bug?.intercept;
    const names = Array.from({ length: options.members }, (_, at) => `m${at}`);
    const initialCluster = new Map(names.map((name, at) => [name, [`http://127.0.0.1:${2380 + at}`]]));
    const configured: Config = {
      ...base,
      ...options.settings,
      initialCluster,
      snapshotCount: SNAPSHOT_COUNT,
      snapshotCatchupEntries: CATCHUP_ENTRIES,
      // Most histories shall have many snapshots.
      catchupBytes: options.seed % 4 === 0 ? CATCHUP_BYTES : 0,
      autoCompaction: { mode: 'periodic', retentionMs: RETENTION_MS },
      autoPromoteLearners: true,
      corruptCheckTimeMs: CORRUPT_CHECK_MS,
      compactHashCheckTimeMs: COMPACT_HASH_CHECK_MS,
      featureGates: new Map([...base.featureGates, ['CompactHashCheck', true]]),
      usage: { prefixes: USAGE_PREFIXES, maxPrefixes: USAGE_PREFIXES.length },
    };
    const config = options.bug?.configures?.(configured) ?? configured;
    this.#world = {
      time: this.#time,
      random: this.#random,
      network: this.#network,
      config,
      bug: options.bug,
      usesRocks: options.rocks === true,
      hasRaftThread: options.raftThread === true,
      copies: new Map(),
      trace: (line) => this.#note(line),
      fail: (reason) => this.#fail(reason),
      listening: (urls) =>
        this.#processes.find(({ peerUrls }) => peerUrls.some((url) => urls.includes(url)))?.answering,
    };
    const results = names.map((name) => bootstrapNewCluster(name, initialCluster, 'sim'));
    const [first] = results;
    if (first === undefined) throw new Error('a cluster has members');
    this.#bootstrapped = first;
    for (const [at, bootstrapped] of results.entries()) {
      const name = names[at] ?? '';
      this.#add({ name, bootstrapped, peerUrls: initialCluster.get(name) ?? [] });
    }
  }

  async run(): Promise<SimulationResult> {
    const { minutes, bug } = this.#options;
    const time = this.#time;
    const processes = (): readonly SimProcess[] => this.#processes.filter(({ isRemoved }) => !isRemoved);
    for (const process of this.#processes) process.start();
    const parts = { time, random: this.#random, processes };
    const clients = new Clients({ ...parts, count: CLIENTS, readsAtOnce: bug?.readsAtOnce === true });
    this.#clients = clients;
    const watchers = new Watchers({ ...parts, count: WATCHERS, bug });
    const nemesis = new Nemesis({
      ...parts,
      isQuiet: this.#options.partition !== undefined,
      hasStuckDisks: this.#options.stuckDisks === true,
      network: this.#network,
      changeMembership: () => this.#changeMembership(),
      trace: (line) => this.#note(line),
    });
    try {
      if (this.#options.partition !== undefined) await this.#partition(this.#options.partition, clients);
      else await this.#runFor(minutes * 60_000);
      if (this.#failure === undefined) {
        this.#note('all troubles end');
        nemesis.stop();
        const oldRevision = this.#committed.lastRevision;
        const oldLeases = clients.stopLeases();
        await this.#runFor(HEALING_MS / 2);
        await this.#writeEverywhere(clients);
        clients.stop();
        await this.#runFor(HEALING_MS / 2);
        await this.#runUntilEqual();
        this.#checkAgreement();
        this.#checkPeriodicTasks({ oldRevision, oldLeases });
        this.#checkUsage();
      }
    } catch (error) {
      this.#fail(error instanceof Error ? (error.stack ?? error.message) : String(error));
    }
    this.#failure ??= checkHistory(clients.history, this.#committed);
    for (const watching of watchers.all) this.#failure ??= checkWatch(watching, this.#committed);
    for (const watching of watchers.current) this.#failure ??= checkAllSeen(watching, this.#committed);
    if (bug?.mustAlarm === true)
      this.#failure = this.#hasAlarmed ? undefined : 'no member raised the CORRUPT alarm';
    const crashes = this.#crashes;
    for (const process of this.#processes) await process.end();
    return {
      failure: this.#failure,
      trace: this.#trace,
      operations: clients.history.length,
      answered: clients.history.filter(({ response }) => response !== undefined).length,
      revisions: this.#committed.lastRevision,
      leaders: this.#leaders.size,
      crashes,
      backAfterMs: this.#backAfterMs,
    };
  }

  async #runFor(durationMs: number): Promise<void> {
    const endMs = this.#time.now() + durationMs;
    while (this.#time.now() < endMs && this.#failure === undefined)
      await this.#time.runUntil(Math.min(endMs, this.#time.now() + STEP_MS));
  }

  #add(machine: Machine): SimProcess {
    const process = new SimProcess(this.#world, machine, {
      started: () => this.#observe(process),
      crashed: () => {
        this.#crashes += 1;
      },
    });
    this.#processes.push(process);
    return process;
  }

  /** Observes a running process. */
  #observe(process: SimProcess): void {
    const { member, log, name } = process;
    if (member === undefined || log === undefined) return;
    member.onEvents((events) => {
      const fault = this.#committed.record(name, events);
      if (fault !== undefined) this.#fail(fault);
      for (const { isDelete, key } of events) {
        const endedAtMs = isDelete ? this.#clients?.leaseEnd(key.toString()) : undefined;
        if (endedAtMs !== undefined && endedAtMs > this.#time.now())
          this.#fail(
            `${key.toString()} was removed ${endedAtMs - this.#time.now()} ms before its lease ended`,
          );
      }
    });
    member.onLeadership((_lead, isLeader) => {
      if (!isLeader) return;
      const known = this.#leaders.get(member.term);
      if (known === undefined) this.#leaders.set(member.term, process.id);
      else if (known !== process.id) this.#fail(`term ${member.term} has two leaders, ${name} is the second`);
    });
    // What a member counts as committed when it starts is what others have applied.
    for (let index = 1; index <= member.consensus.committed; index += 1) {
      const entry = log.entry(index);
      const known = this.#entries[index];
      if (entry !== undefined && known !== undefined && !isSame(entry, known))
        this.#fail(`${name} starts with another entry at ${index} as committed than others applied`);
    }
    let checked = member.applied.index;
    let generation = member.storeGeneration;
    member.onTurn(() => {
      if (member.isReopening) return;
      if (member.alarms.isRaised(AlarmType.CORRUPT)) {
        this.#hasAlarmed = true;
        this.#fail(`${name} sees the CORRUPT alarm`);
      }
      // Entries of a snapshot were not applied one by one.
      if (generation !== member.storeGeneration) checked = member.applied.index;
      generation = member.storeGeneration;
      for (; checked < member.applied.index; checked += 1) {
        const entry = log.entry(checked + 1);
        if (entry !== undefined) this.#compare(name, entry);
      }
    });
  }

  /** Checks that all members apply the same entry at an index. */
  #compare(name: string, entry: Entry): void {
    const known = this.#entries[entry.index];
    this.#entries[entry.index] ??= entry;
    if (known !== undefined && !isSame(known, entry))
      this.#fail(`${name} applied another entry at ${entry.index} than others did`);
  }

  /** Adds a learner, promotes it when it has caught up, and removes another member. */
  #changeMembership(): void {
    const leader = this.#processes.find(({ member }) => member?.isLeader === true);
    const { memberships } = leader?.whole ?? {};
    if (leader?.member === undefined || memberships === undefined) return;
    const ignored = (error: unknown): void => this.#note(`membership: ${String(error)}`);
    const voters = leader.member.cluster.votingMembers();
    if (leader.member.cluster.members().length >= MAX_MEMBERS && voters.length > 3) {
      const { id } = this.#random.pick(voters);
      this.#note(`membership: ${id.toString(16)} is to leave`);
      memberships.remove(id).then(() => undefined, ignored);
      return;
    }
    if (leader.member.cluster.members().length > this.#options.members) {
      const learner = leader.member.cluster.members().find(({ isLearner }) => isLearner);
      if (learner === undefined)
        memberships.remove(this.#random.pick(voters).id).then(() => undefined, ignored);
      else memberships.promote(learner.id, undefined).then(() => this.#note('membership: promoted'), ignored);
      return;
    }
    this.#joined += 1;
    const name = `j${this.#joined}`;
    const peerUrls = [`http://127.0.0.1:${3000 + this.#joined}`];
    memberships.add(peerUrls, true).then(({ added, members }) => {
      this.#note(`membership: ${name} joins`);
      const remotes = members.filter(({ id }) => id !== added.id);
      const bootstrapped = {
        memberId: added.id,
        clusterId: this.#bootstrapped.clusterId,
        initialMembers: [],
        remotes,
      };
      this.#add({ name, bootstrapped, peerUrls }).start();
    }, ignored);
  }

  async #partition(partition: Partition, clients: Clients): Promise<void> {
    for (let time = 0; time < PARTITIONS && this.#failure === undefined; time += 1) {
      await this.#runFor(QUIET_MS);
      const leader = this.#processes.find(({ member }) => member?.isLeader === true);
      if (leader === undefined) {
        this.#fail('there is no leader in quiet times');
        return;
      }
      const followers = this.#processes.filter((process) => process !== leader);
      for (let round = 0; round < PARTITION_ROUNDS; round += 1) {
        partition.apply({ network: this.#network, leader, followers }, round);
        await this.#runFor(PARTITION_ROUND_MS);
      }
      this.#note('the network is whole');
      this.#network.heal();
      const healedMs = this.#time.now();
      const waiting = this.#putThrough(clients, this.#processes);
      while (waiting.size > 0 && this.#time.now() - healedMs < HEALING_MS) await this.#runFor(BACK_STEP_MS);
      this.#backAfterMs.push(this.#time.now() - healedMs);
    }
  }

  /** Sends puts to each member until one succeeds. @returns the members without a success so far */
  #putThrough(clients: Clients, processes: readonly SimProcess[]): Set<SimProcess> {
    const waiting = new Set(processes);
    const attempt = (process: SimProcess): void => {
      if (!process.isRunning) waiting.delete(process);
      else
        clients.put(process, -1, (isDone) => {
          if (isDone) waiting.delete(process);
          else attempt(process);
        });
    };
    for (const process of waiting) attempt(process);
    return waiting;
  }

  async #writeEverywhere(clients: Clients): Promise<void> {
    const waiting = this.#putThrough(clients, this.#voters());
    await this.#runFor(HEALING_MS / 2);
    if (waiting.size > 0 && this.#failure === undefined)
      this.#fail(`no write succeeds through ${[...waiting].map(({ name }) => name).join()} after healing`);
  }

  /** Returns the voters according to the leader. */
  #voters(): SimProcess[] {
    const leader = this.#processes.find(({ member }) => member?.isLeader === true);
    const ids = new Set(leader?.member?.cluster.votingMembers().map(({ id }) => id));
    return this.#processes.filter(({ id, isRunning }) => isRunning && ids.has(id));
  }

  /** A periodic compaction may just be on its way to some members. */
  async #runUntilEqual(): Promise<void> {
    for (let waitedMs = 0; waitedMs < SETTLING_MS; waitedMs += BACK_STEP_MS) {
      const applied = new Set(this.#voters().map(({ member }) => member?.applied.index));
      if (applied.size <= 1) return;
      await this.#runFor(BACK_STEP_MS);
    }
  }

  #checkAgreement(): void {
    if (this.#failure !== undefined) return;
    const voters = this.#voters();
    if (voters.length === 0) this.#fail('there is no leader after healing');
    const states = voters.map(({ name, member }) => {
      if (member === undefined) return { name, applied: 0, state: '' };
      const job = new HashJob(hashScope(member.store, 0));
      while (!job.step(10_000));
      const { hash } = job.result();
      const leases = [...member.engine.iterate('lease', { gte: EMPTY }).next(1000)].map((row) =>
        row.toString('hex'),
      );
      const { revision, keyCount, compactRevision } = member.store;
      const members = member.cluster.members().map(({ id }) => id.toString(16));
      return {
        name,
        applied: member.applied.index,
        state: JSON.stringify({ revision, keyCount, compactRevision, hash, leases, members }),
      };
    });
    const [first] = states;
    for (const { name, applied, state } of states) {
      if (first === undefined || (applied === first.applied && state === first.state)) continue;
      this.#fail(
        `members differ after healing: ${first.name} at ${first.applied} ${first.state}, ` +
          `${name} at ${applied} ${state}`,
      );
    }
    const known = this.#committed.lastRevision;
    const revision = voters[0]?.member?.store.revision ?? 0;
    if (revision !== known) this.#fail(`revision ${known} was committed, and the members are at ${revision}`);
  }

  /** Checks the results of the periodic tasks after the quiet period. */
  #checkPeriodicTasks(old: { oldRevision: number; oldLeases: readonly bigint[] }): void {
    const running = new Set(this.#processes.filter(({ isRunning }) => isRunning).map(({ id }) => id));
    for (const { name, member } of this.#voters()) {
      if (this.#failure !== undefined || member === undefined) return;
      const fault = periodicTaskFault(member, { ...old, clusterVersion: CLUSTER_VERSION, running });
      if (fault !== undefined) this.#fail(`on ${name} after healing: ${fault}`);
    }
  }

  /** Checks what each member has counted by prefix, after restarts, snapshots and compactions. */
  #checkUsage(): void {
    for (const { name, whole } of this.#voters()) {
      if (this.#failure !== undefined || whole === undefined) return;
      const fault = usageResultFault(whole);
      if (fault !== undefined) this.#fail(`on ${name} after healing: ${fault}`);
    }
  }

  #note(line: string): void {
    this.#trace.push(`${(this.#time.now() / 1000).toFixed(3)} ${line}`);
    if (this.#trace.length > 2 * TRACE_LINES) this.#trace.splice(0, TRACE_LINES);
  }

  #fail(reason: string): void {
    this.#failure ??= `at ${(this.#time.now() / 1000).toFixed(3)} s: ${reason}`;
  }
}

function isSame(one: Entry, other: Entry): boolean {
  return one.term === other.term && (one.data ?? EMPTY).equals(other.data ?? EMPTY);
}
