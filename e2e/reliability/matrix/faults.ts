import { setTimeout as sleep } from 'node:timers/promises';
import type { TestCluster } from '../../clusters/test-cluster.ts';
import type { Member } from '../../harness/member.ts';
import { defined } from '../../../src/lib/assert.ts';
import type { ShiftedClock } from '../../harness/clock-shift.ts';
import { canSlowDisks, type TestDisk } from '../../harness/test-disk.ts';
import { eventually } from '../../harness/wait.ts';
import type { Disks, FaultyPlaces } from './places.ts';

/** What lasts lasts longer than a few elections. */
const LASTS_MS = 4_000;
const ENDS_MS = 30_000;
const HOUR_MS = 3_600_000;
/** Writes of a slow disk in a second: a sync of the log takes about 150 ms. */
const SLOW_WRITES = 20;

/** What faults happen to. */
export interface Ground {
  readonly cluster: TestCluster;
  /** Undefined where members run on the machine's own disk and network. */
  readonly places: FaultyPlaces | undefined;
  /** By name of member. */
  readonly clocks: ReadonlyMap<string, ShiftedClock>;
}

export interface Fault {
  readonly name: string;
  /** How many members a cluster must have for it. */
  readonly members: 1 | 3;
  /** Not for etcd. */
  readonly keysteadAlone?: boolean;
  /** Does it, and makes it good again. Then all members run. @returns the members it was done to */
  readonly happens: (ground: Ground) => Promise<readonly Member[]>;
}

async function leaderOf({ cluster }: Ground): Promise<Member> {
  return cluster.members.length === 1 ? defined(cluster.members[0], 'a member') : cluster.leader();
}

async function followerOf({ cluster }: Ground): Promise<Member> {
  const leader = await cluster.leader();
  return defined(
    cluster.members.find((member) => member !== leader),
    'a follower',
  );
}

type Chosen = (ground: Ground) => Promise<Member>;

/** A lone member is started again at once, one of three after a while. */
async function rest({ cluster }: Ground): Promise<void> {
  if (cluster.members.length > 1) await sleep(LASTS_MS);
}

const ended =
  (chosen: Chosen, signal: NodeJS.Signals) =>
  async (ground: Ground): Promise<Member[]> => {
    const member = await chosen(ground);
    await member.stop(signal);
    await rest(ground);
    await member.start();
    return [member];
  };

const allEnded =
  (signal: NodeJS.Signals) =>
  async ({ cluster }: Ground): Promise<Member[]> => {
    await Promise.all(cluster.members.map((member) => member.stop(signal)));
    await Promise.all(cluster.members.map((member) => member.start()));
    return cluster.members;
  };

const stopped =
  (chosen: Chosen) =>
  async (ground: Ground): Promise<Member[]> => {
    const member = await chosen(ground);
    member.program.signal('SIGSTOP');
    await sleep(LASTS_MS);
    member.program.signal('SIGCONT');
    return [member];
  };

function disksOf({ cluster, places }: Ground, member: Member): Disks {
  return defined(places?.disks[cluster.members.indexOf(member)], 'disks of the member');
}

/** Nothing that was not synced is left. */
async function losePower(ground: Ground, members: readonly Member[]): Promise<void> {
  for (const member of members) {
    const { log, store } = disksOf(ground, member);
    log.fail();
    store.fail();
  }
  await Promise.all(members.map((member) => member.kill()));
  for (const member of members) {
    const { log, store } = disksOf(ground, member);
    log.repair();
    store.repair();
  }
}

const powerLost = async (ground: Ground): Promise<Member[]> => {
  const member = await leaderOf(ground);
  await losePower(ground, [member]);
  await rest(ground);
  await member.start();
  return [member];
};

const allPowerLost = async (ground: Ground): Promise<Member[]> => {
  const { members } = ground.cluster;
  await losePower(ground, members);
  await Promise.all(members.map((member) => member.start()));
  return members;
};

/** The process must end by itself, so that the others go on and an operator sees it. */
const failing =
  (diskOf: (disks: Disks) => TestDisk) =>
  async (ground: Ground): Promise<Member[]> => {
    const member = await leaderOf(ground);
    const disk = diskOf(disksOf(ground, member));
    disk.fail();
    const { program } = member;
    await eventually(`${member.name} ends by itself`, () => !program.alive, { timeoutMs: ENDS_MS });
    await member.stop();
    await rest(ground);
    disk.repair();
    await member.start();
    return [member];
  };

const full =
  (diskOf: (disks: Disks) => TestDisk) =>
  async (ground: Ground): Promise<Member[]> => {
    const member = await leaderOf(ground);
    const disk = diskOf(disksOf(ground, member));
    disk.fill();
    await sleep(2 * LASTS_MS);
    disk.empty();
    if (!member.program.alive) {
      await member.stop();
      await member.start();
    }
    return [member];
  };

const slow = async (ground: Ground): Promise<Member[]> => {
  const member = await leaderOf(ground);
  const { log } = disksOf(ground, member);
  log.slow(SLOW_WRITES);
  await sleep(LASTS_MS);
  log.slow(0);
  return [member];
};

/** @param cut takes the places of the chosen member and of the others */
const parted =
  (chosen: Chosen, cut: (network: FaultyPlaces['network'], one: number, others: readonly number[]) => void) =>
  async (ground: Ground): Promise<Member[]> => {
    const { cluster, places } = ground;
    const member = await chosen(ground);
    const network = defined(places, 'faulty places').network;
    const one = cluster.members.indexOf(member);
    cut(
      network,
      one,
      [...cluster.members.keys()].filter((at) => at !== one),
    );
    await sleep(LASTS_MS);
    network.heal();
    return [member];
  };

const clockSteps =
  (milliseconds: number) =>
  async (ground: Ground): Promise<Member[]> => {
    const member = await leaderOf(ground);
    const clock = defined(ground.clocks.get(member.name), 'a clock of the member');
    clock.shift(milliseconds);
    await sleep(LASTS_MS);
    clock.shift(0);
    return [member];
  };

export const faults: readonly Fault[] = [
  { name: 'kill -9 of the leader', members: 1, happens: ended(leaderOf, 'SIGKILL') },
  { name: 'kill -9 of a follower', members: 3, happens: ended(followerOf, 'SIGKILL') },
  { name: 'kill -9 of all', members: 3, happens: allEnded('SIGKILL') },
  { name: 'SIGTERM of the leader', members: 1, happens: ended(leaderOf, 'SIGTERM') },
  { name: 'SIGTERM of a follower', members: 3, happens: ended(followerOf, 'SIGTERM') },
  { name: 'SIGSTOP of the leader', members: 1, happens: stopped(leaderOf) },
  { name: 'SIGSTOP of a follower', members: 3, happens: stopped(followerOf) },
  { name: 'clock an hour ahead', members: 1, keysteadAlone: true, happens: clockSteps(HOUR_MS) },
  { name: 'clock an hour behind', members: 1, keysteadAlone: true, happens: clockSteps(-HOUR_MS) },
  { name: 'power loss of the leader', members: 1, happens: powerLost },
  { name: 'power loss of all', members: 3, happens: allPowerLost },
  { name: "EIO on the leader's log", members: 1, happens: failing(({ log }) => log) },
  { name: "EIO on the leader's store", members: 1, happens: failing(({ store }) => store) },
  { name: "full disk of the leader's log", members: 1, happens: full(({ log }) => log) },
  { name: "full disk of the leader's store", members: 1, happens: full(({ store }) => store) },
  ...(canSlowDisks() ? [{ name: "slow disk of the leader's log", members: 1, happens: slow } as const] : []),
  {
    name: 'leader cut off, silently',
    members: 3,
    happens: parted(leaderOf, (network, one) => network.isolate(one)),
  },
  {
    name: 'leader cut off, refused',
    members: 3,
    happens: parted(leaderOf, (network, one) => network.isolate(one, 'unreachable')),
  },
  {
    name: 'leader only hears',
    members: 3,
    happens: parted(leaderOf, (network, one, others) => {
      for (const other of others) network.block(one, other);
    }),
  },
  {
    name: 'leader only speaks',
    members: 3,
    happens: parted(leaderOf, (network, one, others) => {
      for (const other of others) network.block(other, one);
    }),
  },
  {
    name: 'leader and one follower cut',
    members: 3,
    happens: parted(leaderOf, (network, one, [other = 0]) => {
      network.block(one, other);
      network.block(other, one);
    }),
  },
  {
    name: 'follower cut off',
    members: 3,
    happens: parted(followerOf, (network, one) => network.isolate(one)),
  },
  {
    name: 'all cut off from each other',
    members: 3,
    happens: parted(leaderOf, (network, one, others) => {
      network.isolate(one);
      const [a = 0, b = 0] = others;
      network.block(a, b);
      network.block(b, a);
    }),
  },
];

/** What is told of a cluster whose members are far from each other. */
export const faultsOfLongWays = faults.filter(({ name }) => /^(kill -9|SIGTERM) of the leader$/.test(name));
