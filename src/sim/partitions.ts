import type { SimNetwork } from './network.ts';
import type { SimProcess } from './sim-process.ts';

/** A kind of network partition. */
export interface Partition {
  readonly name: string;
  /** Blocks connections; called every 400 ms during the partition. @param round number of the call */
  readonly apply: (scene: PartitionScene, round: number) => void;
}

export interface PartitionScene {
  readonly network: SimNetwork;
  /** The leader at the start of the partition. */
  readonly leader: SimProcess;
  readonly followers: readonly SimProcess[];
}

function cutBoth(network: SimNetwork, one: readonly SimProcess[], others: readonly SimProcess[]): void {
  for (const from of one)
    for (const to of others) {
      network.cut(from.id, to.id);
      network.cut(to.id, from.id);
    }
}

function once(apply: (scene: PartitionScene) => void): Partition['apply'] {
  return (scene, round) => {
    if (round === 0) apply(scene);
  };
}

export const partitions: readonly Partition[] = [
  {
    name: 'the leader alone',
    apply: once(({ network, leader, followers }) => cutBoth(network, [leader], followers)),
  },
  {
    name: 'a follower alone',
    apply: once(({ network, leader, followers }) =>
      cutBoth(network, followers.slice(0, 1), [leader, ...followers.slice(1)]),
    ),
  },
  {
    name: 'halves, the leader in the smaller one',
    apply: once(({ network, leader, followers }) => {
      const smaller = Math.floor(followers.length / 2) - 1;
      cutBoth(network, [leader, ...followers.slice(0, smaller)], followers.slice(smaller));
    }),
  },
  {
    name: 'nothing reaches the leader',
    apply: once(({ network, leader, followers }) => {
      for (const { id } of followers) network.cut(id, leader.id);
    }),
  },
  {
    name: 'nothing leaves the leader',
    apply: once(({ network, leader, followers }) => {
      for (const { id } of followers) network.cut(leader.id, id);
    }),
  },
  {
    name: 'nothing reaches a follower',
    apply: once(({ network, leader, followers }) => {
      const [first] = followers;
      if (first === undefined) return;
      for (const { id } of [leader, ...followers.slice(1)]) network.cut(id, first.id);
    }),
  },
  {
    name: 'a follower that reaches all others but the leader',
    apply: once(({ network, leader, followers }) => cutBoth(network, [leader], followers.slice(0, 1))),
  },
  {
    name: 'a flapping leader',
    apply: ({ network, leader, followers }, round) => {
      if (round % 2 === 0) cutBoth(network, [leader], followers);
      else network.heal();
    },
  },
  {
    name: 'a flapping follower',
    apply: ({ network, leader, followers }, round) => {
      if (round % 2 === 0) cutBoth(network, followers.slice(0, 1), [leader, ...followers.slice(1)]);
      else network.heal();
    },
  },
];
