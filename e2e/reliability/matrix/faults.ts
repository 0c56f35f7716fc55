import { setTimeout as sleep } from 'node:timers/promises';
import type { TestCluster } from '../../clusters/test-cluster.ts';
import type { Member } from '../../harness/member.ts';
import { defined } from '../../../src/lib/assert.ts';
import type { ShiftedClock } from '../../harness/clock-shift.ts';
import { canSlowDisks, type TestDisk } from '../../harness/test-disk.ts';
import { eventually } from '../../harness/wait.ts';
import type { Disks, FaultyHosts } from './hosts.ts';

/** Duration of a fault: longer than a few elections. */
const FAULT_MS = 4_000;
const EXIT_TIMEOUT_MS = 30_000;
const HOUR_MS = 3_600_000;
/** Writes per second of a slow disk. A sync of the log then takes about 150 ms. */
const SLOW_WRITES = 20;

/** The cluster and its machines, into which faults are injected. */
export interface TestEnvironment {
  readonly cluster: TestCluster;
  /** Undefined if the members use the disk and the network of the machine. */
  readonly hosts: FaultyHosts | undefined;
  /** By member name. */
  readonly clocks: ReadonlyMap<string, ShiftedClock>;
}

export interface Fault {
  readonly name: string;
  /** Minimum number of members. */
  readonly members: 1 | 3;
  /** Not possible with etcd. */
  readonly keysteadOnly?: boolean;
  /** Injects the fault and removes it again. All members run afterwards. @returns the affected members */
  readonly inject: (environment: TestEnvironment) => Promise<readonly Member[]>;
}

async function leaderOf({ cluster }: TestEnvironment): Promise<Member> {
  return cluster.members.length === 1 ? defined(cluster.members[0], 'a member') : cluster.leader();
}

async function followerOf({ cluster }: TestEnvironment): Promise<Member> {
  const leader = await cluster.leader();
  return defined(
    cluster.members.find((member) => member !== leader),
    'a follower',
  );
}

type SelectMember = (environment: TestEnvironment) => Promise<Member>;

/** A single member is restarted at once, one of three after a while. */
async function waitBeforeRestart({ cluster }: TestEnvironment): Promise<void> {
  if (cluster.members.length > 1) await sleep(FAULT_MS);
}

const killed =
  (chosen: SelectMember, signal: NodeJS.Signals) =>
  async (environment: TestEnvironment): Promise<Member[]> => {
    const member = await chosen(environment);
    await member.stop(signal);
    await waitBeforeRestart(environment);
    await member.start();
    return [member];
  };

const killedAll =
  (signal: NodeJS.Signals) =>
  async ({ cluster }: TestEnvironment): Promise<Member[]> => {
    await Promise.all(cluster.members.map((member) => member.stop(signal)));
    await Promise.all(cluster.members.map((member) => member.start()));
    return cluster.members;
  };

const stopped =
  (chosen: SelectMember) =>
  async (environment: TestEnvironment): Promise<Member[]> => {
    const member = await chosen(environment);
    member.program.signal('SIGSTOP');
    await sleep(FAULT_MS);
    member.program.signal('SIGCONT');
    return [member];
  };

function disksOf({ cluster, hosts }: TestEnvironment, member: Member): Disks {
  return defined(hosts?.disks[cluster.members.indexOf(member)], 'disks of the member');
}

/** All data that was not synced is lost. */
async function losePower(environment: TestEnvironment, members: readonly Member[]): Promise<void> {
  for (const member of members) {
    const { log, store } = disksOf(environment, member);
    log.fail();
    store.fail();
  }
  await Promise.all(members.map((member) => member.kill()));
  for (const member of members) {
    const { log, store } = disksOf(environment, member);
    log.repair();
    store.repair();
  }
}

const powerLoss = async (environment: TestEnvironment): Promise<Member[]> => {
  const member = await leaderOf(environment);
  await losePower(environment, [member]);
  await waitBeforeRestart(environment);
  await member.start();
  return [member];
};

const powerLossOfAll = async (environment: TestEnvironment): Promise<Member[]> => {
  const { members } = environment.cluster;
  await losePower(environment, members);
  await Promise.all(members.map((member) => member.start()));
  return members;
};

/** The process must end by itself, so that the other members take over and an operator notices. */
const failing =
  (diskOf: (disks: Disks) => TestDisk) =>
  async (environment: TestEnvironment): Promise<Member[]> => {
    const member = await leaderOf(environment);
    const disk = diskOf(disksOf(environment, member));
    disk.fail();
    const { program } = member;
    await eventually(`${member.name} ends by itself`, () => !program.alive, { timeoutMs: EXIT_TIMEOUT_MS });
    await member.stop();
    await waitBeforeRestart(environment);
    disk.repair();
    await member.start();
    return [member];
  };

const full =
  (diskOf: (disks: Disks) => TestDisk) =>
  async (environment: TestEnvironment): Promise<Member[]> => {
    const member = await leaderOf(environment);
    const disk = diskOf(disksOf(environment, member));
    disk.fill();
    await sleep(2 * FAULT_MS);
    disk.empty();
    if (!member.program.alive) {
      await member.stop();
      await member.start();
    }
    return [member];
  };

const slow = async (environment: TestEnvironment): Promise<Member[]> => {
  const member = await leaderOf(environment);
  const { log } = disksOf(environment, member);
  log.slow(SLOW_WRITES);
  await sleep(FAULT_MS);
  log.slow(0);
  return [member];
};

/** @param cut gets the index of the selected member and those of the others */
const partitioned =
  (
    chosen: SelectMember,
    cut: (network: FaultyHosts['network'], one: number, others: readonly number[]) => void,
  ) =>
  async (environment: TestEnvironment): Promise<Member[]> => {
    const { cluster, hosts } = environment;
    const member = await chosen(environment);
    const network = defined(hosts, 'faulty hosts of the cluster').network;
    const one = cluster.members.indexOf(member);
    cut(
      network,
      one,
      [...cluster.members.keys()].filter((at) => at !== one),
    );
    await sleep(FAULT_MS);
    network.heal();
    return [member];
  };

const clockSteps =
  (milliseconds: number) =>
  async (environment: TestEnvironment): Promise<Member[]> => {
    const member = await leaderOf(environment);
    const clock = defined(environment.clocks.get(member.name), 'a clock of the member');
    clock.shift(milliseconds);
    await sleep(FAULT_MS);
    clock.shift(0);
    return [member];
  };

export const faults: readonly Fault[] = [
  { name: 'kill -9 of the leader', members: 1, inject: killed(leaderOf, 'SIGKILL') },
  { name: 'kill -9 of a follower', members: 3, inject: killed(followerOf, 'SIGKILL') },
  { name: 'kill -9 of all', members: 3, inject: killedAll('SIGKILL') },
  { name: 'SIGTERM of the leader', members: 1, inject: killed(leaderOf, 'SIGTERM') },
  { name: 'SIGTERM of a follower', members: 3, inject: killed(followerOf, 'SIGTERM') },
  { name: 'SIGSTOP of the leader', members: 1, inject: stopped(leaderOf) },
  { name: 'SIGSTOP of a follower', members: 3, inject: stopped(followerOf) },
  { name: 'clock an hour ahead', members: 1, keysteadOnly: true, inject: clockSteps(HOUR_MS) },
  { name: 'clock an hour behind', members: 1, keysteadOnly: true, inject: clockSteps(-HOUR_MS) },
  { name: 'power loss of the leader', members: 1, inject: powerLoss },
  { name: 'power loss of all', members: 3, inject: powerLossOfAll },
  { name: "EIO on the leader's log", members: 1, inject: failing(({ log }) => log) },
  { name: "EIO on the leader's store", members: 1, inject: failing(({ store }) => store) },
  { name: "full disk of the leader's log", members: 1, inject: full(({ log }) => log) },
  { name: "full disk of the leader's store", members: 1, inject: full(({ store }) => store) },
  ...(canSlowDisks() ? [{ name: "slow disk of the leader's log", members: 1, inject: slow } as const] : []),
  {
    name: 'leader cut off, silently',
    members: 3,
    inject: partitioned(leaderOf, (network, one) => network.isolate(one)),
  },
  {
    name: 'leader cut off, refused',
    members: 3,
    inject: partitioned(leaderOf, (network, one) => network.isolate(one, 'unreachable')),
  },
  {
    name: 'leader only hears',
    members: 3,
    inject: partitioned(leaderOf, (network, one, others) => {
      for (const other of others) network.block(one, other);
    }),
  },
  {
    name: 'leader only speaks',
    members: 3,
    inject: partitioned(leaderOf, (network, one, others) => {
      for (const other of others) network.block(other, one);
    }),
  },
  {
    name: 'leader and one follower cut',
    members: 3,
    inject: partitioned(leaderOf, (network, one, [other = 0]) => {
      network.block(one, other);
      network.block(other, one);
    }),
  },
  {
    name: 'follower cut off',
    members: 3,
    inject: partitioned(followerOf, (network, one) => network.isolate(one)),
  },
  {
    name: 'all cut off from each other',
    members: 3,
    inject: partitioned(leaderOf, (network, one, others) => {
      network.isolate(one);
      const [a = 0, b = 0] = others;
      network.block(a, b);
      network.block(b, a);
    }),
  },
];

/** Faults for clusters with a high latency between members. */
export const latencyFaults = faults.filter(({ name }) => /^(kill -9|SIGTERM) of the leader$/.test(name));
